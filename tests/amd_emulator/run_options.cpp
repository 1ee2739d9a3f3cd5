#include "run_options.hpp"

#include <cstdlib>
#include <sstream>

namespace amd_emulator {
namespace {

bool parse(const std::string& value, Order& result)
{
    if (value == "forward") {
        result = Order::forward;
    } else if (value == "reverse") {
        result = Order::reverse;
    } else if (value == "random") {
        result = Order::random;
    } else {
        return false;
    }
    return true;
}
bool parse(const std::string& value, Completion& result)
{
    if (value == "late") {
        result = Completion::late;
    } else if (value == "early") {
        result = Completion::early;
    } else if (value == "random") {
        result = Completion::random;
    } else {
        return false;
    }
    return true;
}
template <class T>
bool parse_number(const std::string& value, T& result)
{
    char* end = nullptr;
    result = static_cast<T>(std::strtoull(value.c_str(), &end, 0));
    return !value.empty() && value[0] != '-' && *end == 0;
}

} // namespace

std::string parse_run_options(const std::string& text, RunOptions& options)
{
    std::string separated = text;
    for (char& c : separated) {
        c = c == ',' ? ' ' : c;
    }
    std::istringstream words(separated);
    RunOptions result = options;
    for (std::string word; words >> word;) {
        const size_t equals = word.find('=');
        const std::string name = word.substr(0, equals);
        const std::string value = equals == std::string::npos ? "" : word.substr(equals + 1);
        bool is_valid = false;
        if (name == "work_groups") {
            is_valid = parse(value, result.work_groups);
        } else if (name == "waves") {
            is_valid = parse(value, result.waves);
        } else if (name == "interleave") {
            is_valid = parse_number(value, result.interleave);
        } else if (name == "resident") {
            is_valid = parse_number(value, result.resident) && result.resident > 0;
        } else if (name == "completion") {
            is_valid = parse(value, result.completion);
        } else if (name == "seed") {
            is_valid = parse_number(value, result.seed);
        } else if (name == "check_stores") {
            is_valid = parse_number(value, result.check_stores);
        } else if (name == "max_instructions") {
            is_valid = parse_number(value, result.max_instructions);
        } else if (name == "fail") {
            const size_t colon = value.find(':');
            result.fail = value.substr(0, colon);
            is_valid = colon != std::string::npos && parse_number(value.substr(colon + 1), result.error);
        }
        if (!is_valid) {
            return "'" + word +
                   "' is no run option; known are work_groups, waves (forward, reverse, random), interleave, resident, "
                   "completion (late, early, random), seed, check_stores (0, 1), max_instructions, fail "
                   "(ENTRY_POINT:ERROR)";
        }
    }
    options = result;
    return "";
}

} // namespace amd_emulator
