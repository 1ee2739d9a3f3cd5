#include "message_pack.hpp"

#include <stdexcept>

namespace amd_emulator {
namespace {

class Reader {
public:
    Reader(const uint8_t* data, size_t size) : next_(data), end_(data + size) {}

    PackedValue value(int depth = 0)
    {
        if (depth > 32) {
            throw std::runtime_error("metadata nested too deeply");
        }
        const auto tag = static_cast<uint8_t>(big_endian(1));
        if (tag < 0x80) {
            return number(tag);
        }
        if (tag < 0x90) {
            return map(tag & 0xf, depth);
        }
        if (tag < 0xa0) {
            return array(tag & 0xf, depth);
        }
        if (tag < 0xc0) {
            return text(tag & 0x1f);
        }
        if (tag >= 0xe0) {
            return number(static_cast<int8_t>(tag));
        }
        switch (tag) {
        case 0xc0:
        case 0xc2:
            return number(0);
        case 0xc3:
            return number(1);
        case 0xcc:
            return number(static_cast<int64_t>(big_endian(1)));
        case 0xcd:
            return number(static_cast<int64_t>(big_endian(2)));
        case 0xce:
            return number(static_cast<int64_t>(big_endian(4)));
        case 0xcf:
            return number(static_cast<int64_t>(big_endian(8)));
        case 0xd0:
            return number(static_cast<int8_t>(big_endian(1)));
        case 0xd1:
            return number(static_cast<int16_t>(big_endian(2)));
        case 0xd2:
            return number(static_cast<int32_t>(big_endian(4)));
        case 0xd3:
            return number(static_cast<int64_t>(big_endian(8)));
        case 0xd9:
            return text(big_endian(1));
        case 0xda:
            return text(big_endian(2));
        case 0xdb:
            return text(big_endian(4));
        case 0xdc:
            return array(big_endian(2), depth);
        case 0xdd:
            return array(big_endian(4), depth);
        case 0xde:
            return map(big_endian(2), depth);
        case 0xdf:
            return map(big_endian(4), depth);
        default:
            throw std::runtime_error("metadata hold a type that is not understood");
        }
    }

private:
    uint64_t big_endian(int bytes)
    {
        if (end_ - next_ < bytes) {
            throw std::runtime_error("metadata are cut off");
        }
        uint64_t result = 0;
        for (int i = 0; i < bytes; ++i) {
            result = result << 8 | *next_++;
        }
        return result;
    }
    static PackedValue number(int64_t number)
    {
        PackedValue result;
        result.number = number;
        return result;
    }
    PackedValue text(uint64_t length)
    {
        if (static_cast<uint64_t>(end_ - next_) < length) {
            throw std::runtime_error("metadata are cut off");
        }
        PackedValue result;
        result.text.assign(next_, next_ + length);
        next_ += length;
        return result;
    }
    PackedValue array(uint64_t length, int depth)
    {
        PackedValue result;
        for (uint64_t i = 0; i < length; ++i) {
            result.items.push_back(value(depth + 1));
        }
        return result;
    }
    PackedValue map(uint64_t length, int depth)
    {
        PackedValue result;
        for (uint64_t i = 0; i < length; ++i) {
            std::string name = value(depth + 1).text;
            result.fields.emplace_back(std::move(name), value(depth + 1));
        }
        return result;
    }

    const uint8_t* next_;
    const uint8_t* end_;
};

} // namespace

const PackedValue& PackedValue::operator[](const std::string& name) const
{
    static const PackedValue nothing;
    for (const auto& field : fields) {
        if (field.first == name) {
            return field.second;
        }
    }
    return nothing;
}

PackedValue read_message_pack(const uint8_t* data, size_t size) { return Reader(data, size).value(); }

} // namespace amd_emulator
