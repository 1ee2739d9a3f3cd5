#include "counters.hpp"

#include "fault.hpp"
#include "operation.hpp"

#include <array>
#include <set>

namespace amd_emulator {
namespace {

using ClassCounts = std::array<uint64_t, kNumInstructionClasses>;

InstructionClass class_of(const Instruction& instruction)
{
    return instruction.operation == nullptr ? InstructionClass::other : instruction.operation->instruction_class;
}

std::string number(uint64_t value) { return std::to_string(value); }

std::string classes_text(const ClassCounts& counts)
{
    std::string text = "{";
    for (int i = 0; i < kNumInstructionClasses; ++i) {
        if (counts[static_cast<size_t>(i)] == 0) {
            continue;
        }
        text += (text.size() > 1 ? ", \"" : "\"") + std::string(class_name(static_cast<InstructionClass>(i))) +
                "\": " + number(counts[static_cast<size_t>(i)]);
    }
    return text + "}";
}

/// Where basic blocks begin: the entry, targets of branches, and what follows a branch or an end.
std::set<int32_t> block_starts(const Program& program, int32_t begin, int32_t end)
{
    std::set<int32_t> starts = {begin};
    for (int32_t i = begin; i < end; ++i) {
        const Instruction& instruction = program[i];
        if (instruction.branch_target >= 0) {
            starts.insert(instruction.branch_target);
        }
        if (class_of(instruction) == InstructionClass::branch && i + 1 < end) {
            starts.insert(i + 1);
        }
    }
    return starts;
}

} // namespace

void CounterReport::add(const CodeObject& code, const Kernel& kernel, const ExecutionCounts& counts, uint64_t launches)
{
    const Program& program = code.program();
    const int32_t begin = program.index_of(kernel.descriptor.entry);
    int32_t end = begin;
    while (end < program.size() && program[end].address < kernel.descriptor.entry + kernel.code_size) {
        ++end;
    }

    ClassCounts total{};
    std::map<std::string, uint64_t> mnemonics;
    uint64_t num_executed = 0;
    for (int32_t i = begin; i < end; ++i) {
        const uint64_t count = counts[static_cast<size_t>(i)];
        if (count == 0) {
            continue;
        }
        num_executed += count;
        total[static_cast<size_t>(class_of(program[i]))] += count;
        mnemonics[program[i].mnemonic] += count;
    }
    std::string text = "{\"name\": \"" + kernel.name + "\", \"architecture\": \"" + code.processor() +
                       "\", \"launches\": " + number(launches) + ", \"wave_instructions\": " + number(num_executed) +
                       ", \"classes\": " + classes_text(total) + ", \"mnemonics\": {";
    bool first = true;
    for (const auto& entry : mnemonics) {
        text += (first ? "\"" : ", \"") + entry.first + "\": " + number(entry.second);
        first = false;
    }
    text += "}, \"blocks\": [";
    const auto starts = block_starts(program, begin, end);
    first = true;
    for (auto start = starts.begin(); start != starts.end(); ++start) {
        const auto next = std::next(start);
        const int32_t stop = next == starts.end() ? end : *next;
        ClassCounts in_block{};
        for (int32_t i = *start; i < stop; ++i) {
            ++in_block[static_cast<size_t>(class_of(program[i]))];
        }
        text += std::string(first ? "" : ", ") +
                "{\"offset\": " + number(program[*start].address - kernel.descriptor.entry) +
                ", \"executed\": " + number(counts[static_cast<size_t>(*start)]) +
                ", \"instructions\": " + number(static_cast<uint64_t>(stop - *start)) +
                ", \"classes\": " + classes_text(in_block) + "}";
        first = false;
    }
    kernels_ += (kernels_.empty() ? "" : ", ") + text + "]}";
}

} // namespace amd_emulator
