// A reader of MessagePack, the format of the metadata in code objects.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace amd_emulator {

struct PackedValue {
    int64_t number = 0; ///< integers and booleans
    std::string text;
    std::vector<PackedValue> items;
    std::vector<std::pair<std::string, PackedValue>> fields;

    /// @returns an empty value if there is no such field.
    const PackedValue& operator[](const std::string& name) const;
};

/// @throws std::runtime_error for what is cut off or not understood.
PackedValue read_message_pack(const uint8_t* data, size_t size);

} // namespace amd_emulator
