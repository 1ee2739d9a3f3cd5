#pragma once

#include <cstddef>
#include <cstdint>

namespace mask_fuzz {

// Turns the fuzzer's bytes into choices. Every choice is taken from the front, so that a change of one byte changes one
// choice, and bytes that are missing read as 0, so that every input means something.
class ByteReader {
public:
    ByteReader(const uint8_t* data, size_t size) : data_(data), end_(data + size) {}

    bool empty() const { return data_ == end_; }

    // A number in [low, high]. Takes as many bytes as the range needs.
    int64_t pick(int64_t low, int64_t high)
    {
        const uint64_t range = static_cast<uint64_t>(high) - static_cast<uint64_t>(low);
        uint64_t value = 0;
        for (uint64_t rest = range; rest > 0; rest >>= 8)
            value = value << 8 | byte();
        if (range != UINT64_MAX) value %= range + 1;
        return static_cast<int64_t>(static_cast<uint64_t>(low) + value);
    }
    bool one_in(int n) { return pick(0, n - 1) == n - 1; } // false once the bytes have run out

    template <class T, size_t kSize>
    const T& choose(const T (&options)[kSize])
    {
        return options[pick(0, kSize - 1)];
    }

private:
    uint8_t byte() { return data_ == end_ ? 0 : *data_++; }

    const uint8_t* data_;
    const uint8_t* end_;
};

// Many choices that two bytes stand for: blocks of a list, bits of a bitmap, where the laws are looked at. Not worth
// bytes of their own: an input should be short, so that most of its changes mean something.
class Draws {
public:
    explicit Draws(ByteReader& bytes) : state_(static_cast<uint64_t>(bytes.pick(0, 0xffff)) + 1) {}

    uint64_t bits()
    {
        state_ ^= state_ << 13;
        state_ ^= state_ >> 7;
        state_ ^= state_ << 17;
        return state_ * 0x2545f4914f6cdd1dull;
    }
    int64_t pick(int64_t low, int64_t high)
    {
        return low + static_cast<int64_t>((bits() >> 1) % (static_cast<uint64_t>(high - low) + 1));
    }
    bool one_in(int n) { return pick(0, n - 1) == 0; }

private:
    uint64_t state_;
};

} // namespace mask_fuzz
