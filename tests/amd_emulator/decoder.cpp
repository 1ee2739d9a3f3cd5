#include "decoder.hpp"

#include "fault.hpp"
#include "operand_text.hpp"
#include "operation.hpp"

#include <cctype>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace amd_emulator {
namespace {

/// Words at the top level: brackets, parentheses and bars hold together. A comma ends an operand that others follow.
struct Words {
    std::vector<std::string> operands;
    std::vector<std::string> modifiers;

    explicit Words(const std::string& text)
    {
        std::string word;
        bool after_comma = true;
        const auto finish = [&](bool comma) {
            if (!word.empty()) {
                (after_comma ? operands : modifiers).push_back(word);
                word.clear();
                after_comma = comma;
            } else if (comma) {
                after_comma = true;
            }
        };
        int depth = 0;
        bool in_bars = false;
        for (const char c : text) {
            if (c == '[' || c == '(') {
                ++depth;
            }
            if (c == ']' || c == ')') {
                --depth;
            }
            if (c == '|') {
                in_bars = !in_bars;
            }
            if (depth == 0 && !in_bars && (c == ',' || std::isspace(static_cast<unsigned char>(c)) != 0)) {
                finish(c == ',');
            } else if (std::isspace(static_cast<unsigned char>(c)) == 0) {
                word += c;
            }
        }
        finish(false);
    }
};

bool starts_with(const std::string& text, const char* prefix) { return text.rfind(prefix, 0) == 0; }
bool ends_with(const std::string& text, const std::string& suffix)
{
    return text.size() >= suffix.size() && text.compare(text.size() - suffix.size(), suffix.size(), suffix) == 0;
}

/// "[1,0,1]" as bits, the first one lowest.
uint8_t parse_bits(const std::string& text)
{
    uint8_t bits = 0;
    int position = 0;
    for (const char c : text) {
        if (c == '1') {
            bits = static_cast<uint8_t>(bits | 1 << position);
        }
        if (c == ',') {
            ++position;
        }
    }
    return bits;
}

bool parse_sdwa_part(const std::string& text, SdwaPart& part)
{
    static const char* const names[] = {"BYTE_0", "BYTE_1", "BYTE_2", "BYTE_3", "WORD_0", "WORD_1", "DWORD"};
    for (int i = 0; i < 7; ++i) {
        if (text == names[i]) {
            part = static_cast<SdwaPart>(i);
            return true;
        }
    }
    return false;
}

bool parse_dpp(const std::string& key, const std::string& value, Modifiers& modifiers)
{
    static const struct {
        const char* name;
        DppMove move;
    } moves[] = {{"quad_perm", DppMove::quad_permute},        {"row_shl", DppMove::row_shift_left},
                 {"row_shr", DppMove::row_shift_right},       {"row_ror", DppMove::row_rotate_right},
                 {"wave_shl", DppMove::wave_shift_left},      {"wave_rol", DppMove::wave_rotate_left},
                 {"wave_shr", DppMove::wave_shift_right},     {"wave_ror", DppMove::wave_rotate_right},
                 {"row_mirror", DppMove::row_mirror},         {"row_half_mirror", DppMove::row_half_mirror},
                 {"row_newbcast", DppMove::row_new_broadcast}};
    if (key == "row_bcast") {
        modifiers.dpp = value == "15" ? DppMove::row_broadcast_15 : DppMove::row_broadcast_31;
        return value == "15" || value == "31";
    }
    for (const auto& entry : moves) {
        if (key != entry.name) {
            continue;
        }
        modifiers.dpp = entry.move;
        int lanes[4] = {0, 0, 0, 0};
        if (entry.move == DppMove::quad_permute) {
            std::sscanf(value.c_str(), "[%d,%d,%d,%d]", &lanes[0], &lanes[1], &lanes[2], &lanes[3]);
            modifiers.dpp_argument = static_cast<uint8_t>(lanes[0] | lanes[1] << 2 | lanes[2] << 4 | lanes[3] << 6);
        } else {
            modifiers.dpp_argument = static_cast<uint8_t>(std::atoi(value.c_str()));
        }
        return true;
    }
    return false;
}

bool parse_modifier(const std::string& word, Modifiers& modifiers)
{
    const size_t colon = word.find(':');
    const std::string key = word.substr(0, colon);
    const std::string value = colon == std::string::npos ? "" : word.substr(colon + 1);
    const auto number = [&] { return static_cast<int32_t>(std::strtol(value.c_str(), nullptr, 0)); };
    const auto any_of = [&](std::initializer_list<const char*> names) {
        for (const char* name : names) {
            if (key == name) {
                return true;
            }
        }
        return false;
    };
    if (key == "offset") {
        modifiers.offset = starts_with(value, "swizzle") ? 0 : number();
        return true;
    }
    if (key == "offset0") {
        modifiers.offset0 = number();
        return true;
    }
    if (key == "offset1") {
        modifiers.offset1 = number();
        return true;
    }
    if (key == "offen") {
        modifiers.offset_enable = true;
        return true;
    }
    if (key == "idxen") {
        modifiers.index_enable = true;
        return true;
    }
    if (key == "lds") {
        modifiers.to_lds = true;
        return true;
    }
    if (any_of({"glc", "sc0"})) {
        modifiers.returns = true;
        return true;
    }
    if (any_of({"slc", "sc1", "nt", "scc"})) {
        return true;
    } // caches are not modelled
    if (key == "clamp") {
        modifiers.clamp = true;
        return true;
    }
    if (key == "mul") {
        modifiers.output_scale = static_cast<float>(number());
        return true;
    }
    if (key == "div") {
        modifiers.output_scale = 1.0f / static_cast<float>(number());
        return true;
    }
    if (key == "op_sel") {
        modifiers.has_op_sel = true;
        modifiers.op_sel = parse_bits(value);
        return true;
    }
    if (key == "op_sel_hi") {
        modifiers.has_op_sel_hi = true;
        modifiers.op_sel_hi = parse_bits(value);
        return true;
    }
    if (key == "neg_lo") {
        modifiers.neg_lo = parse_bits(value);
        return true;
    }
    if (key == "neg_hi") {
        modifiers.neg_hi = parse_bits(value);
        return true;
    }
    if (key == "dst_sel") {
        return parse_sdwa_part(value, modifiers.sdwa_destination);
    }
    if (key == "src0_sel") {
        return parse_sdwa_part(value, modifiers.sdwa_source[0]);
    }
    if (key == "src1_sel") {
        return parse_sdwa_part(value, modifiers.sdwa_source[1]);
    }
    if (key == "dst_unused") {
        modifiers.sdwa_unused = value == "UNUSED_PAD"    ? SdwaUnused::pad
                                : value == "UNUSED_SEXT" ? SdwaUnused::sign_extend
                                                         : SdwaUnused::preserve;
        return true;
    }
    if (key == "row_mask") {
        modifiers.row_mask = static_cast<uint8_t>(number());
        return true;
    }
    if (key == "bank_mask") {
        modifiers.bank_mask = static_cast<uint8_t>(number());
        return true;
    }
    if (key == "bound_ctrl") {
        modifiers.bound_control = true;
        return true;
    }
    if (any_of({"cbsz", "abid", "blgp", "neg"})) {
        modifiers.matrix_broadcast |= number() != 0;
        return true;
    }
    return parse_dpp(key, value, modifiers);
}

void throw_unknown(Wave&, const Instruction& instruction)
{
    throw Fault(FaultKind::unknown_instruction, instruction.text);
}

/// Instructions whose operands are fields of their own, which the executing functions read from the encoding.
bool has_private_operands(const std::string& mnemonic)
{
    return mnemonic == "s_waitcnt" || mnemonic == "s_nop" || mnemonic == "s_setreg_imm32_b32" || mnemonic == "s_trap" ||
           mnemonic == "s_branch" || starts_with(mnemonic, "s_cbranch_");
}

void strip_encoding_suffix(Instruction& instruction)
{
    std::string& mnemonic = instruction.mnemonic;
    for (const char* suffix : {"_e32", "_e64", "_dpp", "_sdwa"}) {
        if (!ends_with(mnemonic, suffix)) {
            continue;
        }
        instruction.modifiers.sdwa = std::strcmp(suffix, "_sdwa") == 0;
        mnemonic.resize(mnemonic.size() - std::strlen(suffix));
        return;
    }
}

/// Modifiers that are not printed have defaults that depend on the instruction.
void set_defaults(Instruction& instruction)
{
    Modifiers& modifiers = instruction.modifiers;
    const bool is_packed = starts_with(instruction.mnemonic, "v_pk_");
    if (is_packed && !modifiers.has_op_sel_hi) {
        modifiers.op_sel_hi = 7;
    }
}

bool is_plain(const Instruction& instruction)
{
    const Modifiers& m = instruction.modifiers;
    bool plain = !m.sdwa && m.dpp == DppMove::none && !m.clamp && m.output_scale == 1 && m.op_sel == 0;
    for (int i = 0; i < instruction.num_operands; ++i) {
        plain = plain && !instruction.operand(i).negate && !instruction.operand(i).absolute;
    }
    return plain;
}

/// Sources come last; literals take the type that the operation reads them as.
void resolve_literals(Instruction& instruction)
{
    const Operation& operation = *instruction.operation;
    int first = 1;
    if (operation.scalar != nullptr) {
        first = operation.result == ValueType::none || operation.accumulates ? 0 : 1;
    } else if (operation.lanes != nullptr) {
        first = (operation.result == ValueType::none ? 0 : 1) + (operation.has_mask_out ? 1 : 0);
    }
    for (int k = 0; k < 3 && first + k < instruction.num_operands; ++k) {
        Operand& operand = instruction.operands[static_cast<size_t>(first + k)];
        if (operand.kind == Operand::Kind::literal) {
            resolve_literal(operand, operation.source[k]);
        }
    }
}

} // namespace

void decode(Instruction& instruction)
{
    instruction.execute = throw_unknown;
    const size_t end = instruction.text.find_first_of(" \t");
    instruction.mnemonic = instruction.text.substr(0, end);
    strip_encoding_suffix(instruction);
    instruction.operation = InstructionTable::get().find(instruction.mnemonic);
    if (instruction.operation == nullptr) {
        return;
    }
    if (!has_private_operands(instruction.mnemonic) && end != std::string::npos) {
        const Words words(instruction.text.substr(end));
        if (words.operands.size() > instruction.operands.size()) {
            return;
        }
        for (const std::string& word : words.operands) {
            Operand& operand = instruction.operands[instruction.num_operands++];
            if (!starts_with(word, "hwreg(") && !parse_operand(word, operand)) {
                return;
            }
        }
        for (const std::string& word : words.modifiers) {
            if (!parse_modifier(word, instruction.modifiers)) {
                return;
            }
        }
    }
    set_defaults(instruction);
    // A clamp saturates an integer sum, which is an operation of its own here.
    if (instruction.modifiers.clamp) {
        if (const Operation* saturating = InstructionTable::get().find(instruction.mnemonic + " clamp")) {
            instruction.operation = saturating;
            instruction.modifiers.clamp = false;
        }
    }
    resolve_literals(instruction);
    instruction.is_plain = is_plain(instruction);
    instruction.execute = instruction.operation->execute;
}

} // namespace amd_emulator
