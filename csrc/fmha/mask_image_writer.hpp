#pragma once

// Writes what gpu/kernel/mask_image.hpp reads: a bound mask as its structure, a C++ type spelt out, and its image,
// bytes with the addresses of data arrays still to be filled in.

#include <cstddef>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "ck_tile_masks/algebra.hpp"

namespace ck_fmha {

using ck_tile_masks::index_t;

// An address in an image: at `offset` stands where a kernel finds a copy of the `size` bytes at `data`.
struct ImageAddress {
    size_t offset;
    const void* data;
    size_t size;
};

class MaskImageWriter {
public:
    const std::string& structure() const { return structure_; }
    const std::vector<char>& bytes() const { return bytes_; }
    const std::vector<ImageAddress>& addresses() const { return addresses_; }

    // The next image begins where this one ends.
    void next_image() { structure_.clear(); }

    // A definition: its name is that of its structure. What only refers to a mask writes that one.
    template <class Bound>
    void write(const Bound& bound)
    {
        if constexpr (ck_tile_masks::meta::detected<write_image_t, Bound>)
            bound.write_image(*this);
        else
            write_definition(bound);
    }
    template <class A, class B>
    void write(const ck_tile_masks::Intersection<A, B>& node)
    {
        write_node("and_", std::pair(node.seqlen_q, node.seqlen_k), node.a, node.b);
    }
    template <class A, class B>
    void write(const ck_tile_masks::Union<A, B>& node)
    {
        write_node("or_", std::pair(node.seqlen_q, node.seqlen_k), node.a, node.b);
    }
    template <class A>
    void write(const ck_tile_masks::Complement<A>& node)
    {
        write_node("not_", node.a);
    }
    template <class A>
    void write(const ck_tile_masks::Transposed<A>& node)
    {
        write_node("transpose", node.a);
    }
    template <class A>
    void write(const ck_tile_masks::BoundShifted<A>& node)
    {
        write_node("shift", std::pair(node.dq, node.dk), node.a);
    }

private:
    static constexpr size_t kAlign = 16;

    template <class Bound>
    using write_image_t = decltype(std::declval<const Bound&>().write_image(std::declval<MaskImageWriter&>()));

    // Every part is padded to the alignment, so the next one begins at a multiple of it.
    size_t append(const void* data, size_t size)
    {
        const size_t begin = bytes_.size();
        const char* first = static_cast<const char*>(data);
        bytes_.insert(bytes_.end(), first, first + size);
        bytes_.resize((bytes_.size() + kAlign - 1) / kAlign * kAlign);
        return begin;
    }

    template <class Bound>
    void write_definition(const Bound& bound)
    {
        structure_ += Bound::get_name();
        const size_t begin = append(&bound, sizeof(Bound));
        if constexpr (ck_tile_masks::meta::detected<ck_tile_masks::contract::for_each_array_t, Bound>) {
            Bound copy = bound;
            copy.for_each_array([&](auto& array, auto count) {
                const auto offset = reinterpret_cast<const char*>(&array) - reinterpret_cast<const char*>(&copy);
                addresses_.push_back(
                    {begin + static_cast<size_t>(offset), array, static_cast<size_t>(count) * sizeof(*array)});
            });
        }
    }

    template <class... Parts>
    void write_node(const char* name, std::pair<index_t, index_t> numbers, const Parts&... parts)
    {
        const index_t both[] = {numbers.first, numbers.second};
        append(both, sizeof(both));
        write_node(name, parts...);
    }
    template <class... Parts>
    void write_node(const char* name, const Parts&... parts)
    {
        structure_ += name;
        const char* separator = "<";
        const auto write_part = [&](const auto& part) {
            structure_ += std::exchange(separator, ", ");
            write(part);
        };
        (write_part(parts), ...);
        structure_ += ">";
    }

    std::string structure_;
    std::vector<char> bytes_;
    std::vector<ImageAddress> addresses_;
};

} // namespace ck_fmha
