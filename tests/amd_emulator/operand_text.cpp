#include "operand_text.hpp"

#include "float_formats.hpp"

#include <cctype>
#include <cstdio>
#include <cstdlib>

namespace amd_emulator {
namespace {

bool starts_with(const std::string& text, const char* prefix) { return text.rfind(prefix, 0) == 0; }

/// "7" or "[7:9]" after the letters of a register file.
bool parse_register_range(const std::string& text, Operand& operand, Operand::Kind kind, int base)
{
    int first = 0;
    int last = 0;
    int length = 0;
    if (std::sscanf(text.c_str(), "[%d:%d]%n", &first, &last, &length) == 2 &&
        length == static_cast<int>(text.size())) {
    } else if (std::sscanf(text.c_str(), "%d%n", &first, &length) == 1 && length == static_cast<int>(text.size())) {
        last = first;
    } else {
        return false;
    }
    operand.kind = kind;
    operand.index = static_cast<uint16_t>(base + first);
    operand.num_registers = static_cast<uint8_t>(last - first + 1);
    return true;
}

bool parse_register(const std::string& text, Operand& operand)
{
    static const struct {
        const char* name;
        uint16_t index;
        uint8_t count;
    } named[] = {{"vcc", kVcc, 2},
                 {"vcc_lo", kVcc, 1},
                 {"vcc_hi", kVcc + 1, 1},
                 {"exec", kExec, 2},
                 {"exec_lo", kExec, 1},
                 {"exec_hi", kExec + 1, 1},
                 {"m0", kM0, 1},
                 {"flat_scratch", kFlatScratch, 2},
                 {"flat_scratch_lo", kFlatScratch, 1},
                 {"flat_scratch_hi", kFlatScratch + 1, 1},
                 {"xnack_mask", 104, 2},
                 {"xnack_mask_lo", 104, 1},
                 {"xnack_mask_hi", 105, 1}};
    for (const auto& entry : named) {
        if (text == entry.name) {
            operand.kind = Operand::Kind::scalar;
            operand.index = entry.index;
            operand.num_registers = entry.count;
            return true;
        }
    }
    static const struct {
        const char* name;
        Operand::Kind kind;
    } special[] = {{"off", Operand::Kind::off},
                   {"scc", Operand::Kind::scc},
                   {"src_scc", Operand::Kind::scc},
                   {"src_vccz", Operand::Kind::vccz},
                   {"src_execz", Operand::Kind::execz},
                   {"src_shared_base", Operand::Kind::shared_base},
                   {"src_private_base", Operand::Kind::private_base}};
    for (const auto& entry : special) {
        if (text == entry.name) {
            operand.kind = entry.kind;
            return true;
        }
    }
    if (starts_with(text, "ttmp")) {
        return parse_register_range(text.substr(4), operand, Operand::Kind::scalar, kTrapTemporaries);
    }
    const std::string rest = text.substr(1);
    switch (text[0]) {
    case 's':
        return parse_register_range(rest, operand, Operand::Kind::scalar, 0);
    case 'v':
        return parse_register_range(rest, operand, Operand::Kind::vector, 0);
    case 'a':
        return parse_register_range(rest, operand, Operand::Kind::vector, kFirstAccumulator);
    default:
        return false;
    }
}

bool parse_literal(const std::string& text, Operand& operand)
{
    const bool is_hexadecimal = starts_with(text, "0x") || starts_with(text, "-0x");
    char* end = nullptr;
    operand.kind = Operand::Kind::literal;
    if (!is_hexadecimal && text.find_first_of(".e") != std::string::npos) {
        operand.is_float_literal = true;
        operand.number = std::strtod(text.c_str(), &end);
    } else if (text[0] == '-') {
        operand.bits = static_cast<uint64_t>(std::strtoll(text.c_str(), &end, 0));
    } else {
        operand.bits = std::strtoull(text.c_str(), &end, 0);
    }
    return *end == 0 && end != text.c_str();
}

} // namespace

bool parse_operand(std::string text, Operand& operand)
{
    const auto strip = [&](size_t front, size_t back) { text = text.substr(front, text.size() - front - back); };
    if (text[0] == '-' && text.size() > 1 && std::isdigit(static_cast<unsigned char>(text[1])) == 0 && text[1] != '.') {
        operand.negate = true;
        strip(1, 0);
    }
    if (starts_with(text, "neg(")) {
        operand.negate = true;
        strip(4, 1);
    }
    if (starts_with(text, "sext(")) {
        operand.sign_extend = true;
        strip(5, 1);
    }
    if (starts_with(text, "abs(")) {
        operand.absolute = true;
        strip(4, 1);
    }
    if (text.size() > 2 && text[0] == '|') {
        operand.absolute = true;
        strip(1, 1);
    }
    return !text.empty() && (parse_register(text, operand) || parse_literal(text, operand));
}

void resolve_literal(Operand& operand, ValueType type)
{
    if (!operand.is_float_literal) {
        // A literal of 32 bits is the upper half of a double.
        if (type == ValueType::f64 && operand.bits > 64 && operand.bits <= 0xffffffffu) {
            operand.bits <<= 32;
        }
        return;
    }
    switch (type) {
    case ValueType::f16:
    case ValueType::u16:
        operand.bits = half_nearest(static_cast<float>(operand.number)).bits;
        break;
    case ValueType::f64:
    case ValueType::u64:
        operand.bits = bit_cast<uint64_t>(operand.number);
        break;
    default:
        operand.bits = bit_cast<uint32_t>(static_cast<float>(operand.number));
        break;
    }
    // The one constant that is printed with more digits than half has.
    if (is_16_bit(type) && operand.number > 0.1591 && operand.number < 0.1592) {
        operand.bits = 0x3118;
    }
}

} // namespace amd_emulator
