// Comparisons: v_cmp_* writes a mask, v_cmpx_* also EXEC.
#include "lane_operation.hpp"

#include <cmath>

namespace amd_emulator {
namespace {

struct Less {
    template <class T>
    bool operator()(T a, T b) const
    {
        return a < b;
    }
};
struct Equal {
    template <class T>
    bool operator()(T a, T b) const
    {
        return a == b;
    }
};
struct LessEqual {
    template <class T>
    bool operator()(T a, T b) const
    {
        return a <= b;
    }
};
struct Greater {
    template <class T>
    bool operator()(T a, T b) const
    {
        return a > b;
    }
};
struct GreaterEqual {
    template <class T>
    bool operator()(T a, T b) const
    {
        return a >= b;
    }
};
struct NotEqual {
    template <class T>
    bool operator()(T a, T b) const
    {
        return a != b;
    }
};
struct LessGreater {
    template <class T>
    bool operator()(T a, T b) const
    {
        return a < b || a > b;
    }
};
struct Ordered {
    template <class T>
    bool operator()(T a, T b) const
    {
        return a == a && b == b;
    }
};
struct Always {
    template <class T>
    bool operator()(T, T) const
    {
        return true;
    }
};
template <class Relation>
struct Not {
    template <class T>
    bool operator()(T a, T b) const
    {
        return !Relation()(a, b);
    }
};

void add_both(InstructionTable& table, const std::string& relation_and_type, Operation operation)
{
    table.add("v_cmp_" + relation_and_type, operation);
    operation.writes_exec = true;
    table.add("v_cmpx_" + relation_and_type, operation);
}

template <class T, class Relation>
void add_relation(InstructionTable& table, const char* relation, const char* type)
{
    Operation operation;
    if constexpr (std::is_same_v<T, Half>) {
        operation = lanes([](Half a, Half b) { return Relation()(to_float(a), to_float(b)); });
    } else {
        operation = lanes([](T a, T b) { return Relation()(a, b); });
    }
    add_both(table, std::string(relation) + "_" + type, operation);
}

template <class T>
void add_common(InstructionTable& table, const char* type)
{
    add_relation<T, Not<Always>>(table, "f", type);
    add_relation<T, Less>(table, "lt", type);
    add_relation<T, Equal>(table, "eq", type);
    add_relation<T, LessEqual>(table, "le", type);
    add_relation<T, Greater>(table, "gt", type);
    add_relation<T, GreaterEqual>(table, "ge", type);
}
template <class T>
void add_integers(InstructionTable& table, const char* type)
{
    add_common<T>(table, type);
    add_relation<T, NotEqual>(table, "ne", type);
    add_relation<T, Always>(table, "t", type);
}
template <class T>
void add_floats(InstructionTable& table, const char* type)
{
    add_common<T>(table, type);
    add_relation<T, LessGreater>(table, "lg", type);
    add_relation<T, Ordered>(table, "o", type);
    add_relation<T, Not<Ordered>>(table, "u", type);
    add_relation<T, Not<GreaterEqual>>(table, "nge", type);
    add_relation<T, Not<LessGreater>>(table, "nlg", type);
    add_relation<T, Not<Greater>>(table, "ngt", type);
    add_relation<T, Not<LessEqual>>(table, "nle", type);
    add_relation<T, Not<Equal>>(table, "neq", type);
    add_relation<T, Not<Less>>(table, "nlt", type);
    add_relation<T, Always>(table, "tru", type);
}

/// The bit of v_cmp_class that a number belongs to. Takes the fields of its format.
uint32_t number_class(bool is_negative, uint64_t exponent, uint64_t max_exponent, uint64_t mantissa, uint64_t quiet_bit)
{
    if (exponent == max_exponent) {
        if (mantissa != 0) {
            return (mantissa & quiet_bit) != 0 ? 1u << 1 : 1u << 0;
        }
        return is_negative ? 1u << 2 : 1u << 9;
    }
    if (exponent != 0) {
        return is_negative ? 1u << 3 : 1u << 8;
    }
    if (mantissa != 0) {
        return is_negative ? 1u << 4 : 1u << 7;
    }
    return is_negative ? 1u << 5 : 1u << 6;
}

} // namespace

void add_vector_compare(InstructionTable& table)
{
    add_integers<int16_t>(table, "i16");
    add_integers<uint16_t>(table, "u16");
    add_integers<int32_t>(table, "i32");
    add_integers<uint32_t>(table, "u32");
    add_integers<int64_t>(table, "i64");
    add_integers<uint64_t>(table, "u64");
    add_floats<Half>(table, "f16");
    add_floats<float>(table, "f32");
    add_floats<double>(table, "f64");
    add_both(table, "class_f32", keeping_subnormals(lanes([](float value, uint32_t classes) {
                 const auto a = bit_cast<uint32_t>(value);
                 return (number_class(a >> 31 != 0, a >> 23 & 0xff, 0xff, a & 0x7fffff, 0x400000) & classes) != 0;
             })));
    add_both(table, "class_f16", keeping_subnormals(lanes([](Half a, uint32_t classes) {
                 return (number_class(a.bits >> 15 != 0, a.bits >> 10 & 0x1f, 0x1f, a.bits & 0x3ff, 0x200) & classes) !=
                        0;
             })));
    add_both(table, "class_f64", keeping_subnormals(lanes([](double value, uint32_t classes) {
                 const auto a = bit_cast<uint64_t>(value);
                 const uint64_t mantissa = a & 0xfffffffffffffu;
                 return (number_class(a >> 63 != 0, a >> 52 & 0x7ff, 0x7ff, mantissa, uint64_t{1} << 51) & classes) !=
                        0;
             })));
}

} // namespace amd_emulator
