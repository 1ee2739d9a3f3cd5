// A loaded AMDGPU code object: ELF image, decoded code, kernels with their descriptors and metadata.
#pragma once

#include "program.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace amd_emulator {

/// The fields of the kernel descriptor that decide how a wave starts (LLVM's AMDGPU usage guide, "Kernel Descriptor").
struct KernelDescriptor {
    uint32_t lds_size;
    uint32_t scratch_size;
    uint32_t kernarg_size;
    uint64_t entry;
    uint32_t rsrc1, rsrc2, rsrc3;
    uint16_t properties;

    uint32_t num_vector_registers() const { return ((rsrc1 & 0x3f) + 1) * 8; } ///< of both files together
    uint32_t first_accumulator() const { return ((rsrc3 & 0x3f) + 1) * 4; }    ///< where the unified file is split
    uint32_t float_mode() const { return rsrc1 >> 12 & 0xff; }
    uint32_t num_user_sgprs() const { return rsrc2 >> 1 & 0x1f; }
    bool has_scratch_offset() const { return (rsrc2 & 1) != 0; }
    bool has_work_group_id(int dimension) const { return (rsrc2 >> (7 + dimension) & 1) != 0; }
    bool has_work_group_info() const { return (rsrc2 >> 10 & 1) != 0; }
    /// 0: x only; 1: and y; 2: and z; packed in v0 on these processors.
    int work_item_id_dimensions() const { return static_cast<int>(rsrc2 >> 11 & 3); }
    bool has_private_segment_buffer() const { return (properties & 1) != 0; }
    bool has_dispatch_pointer() const { return (properties >> 1 & 1) != 0; }
    bool has_queue_pointer() const { return (properties >> 2 & 1) != 0; }
    bool has_kernarg_pointer() const { return (properties >> 3 & 1) != 0; }
    bool has_dispatch_id() const { return (properties >> 4 & 1) != 0; }
    bool has_flat_scratch_init() const { return (properties >> 5 & 1) != 0; }
    bool has_private_segment_size() const { return (properties >> 6 & 1) != 0; }
    bool uses_wave32() const { return (properties >> 10 & 1) != 0; }
};

struct KernelArgument {
    uint32_t offset;
    uint32_t size;
    std::string kind; ///< by_value, global_buffer, hidden_block_count_x, ...
    bool is_hidden() const { return kind.rfind("hidden_", 0) == 0; }
};

struct Kernel {
    std::string name;
    KernelDescriptor descriptor;
    std::vector<KernelArgument> arguments;
    uint32_t max_work_group_size = 1024;
    uint32_t vgpr_count = 0, agpr_count = 0, sgpr_count = 0, vgpr_spills = 0, sgpr_spills = 0;
    uint64_t code_size = 0;
};

class CodeObject {
public:
    /// Copies what it needs of the ELF file at `data`. @throws std::runtime_error with the reason if it is none for
    /// this emulator.
    explicit CodeObject(const void* data);

    const std::string& processor() const { return processor_; } ///< without feature suffixes: "gfx942"
    const Program& program() const { return *program_; }
    /// @returns nullptr if there is none of this name.
    const Kernel* find(const std::string& name) const;
    const std::map<std::string, Kernel>& kernels() const { return kernels_; }
    uint64_t image_begin() const { return reinterpret_cast<uint64_t>(image_); }
    uint64_t image_size() const { return image_size_; }

private:
    void load_segments(const uint8_t* file);
    void read_symbols(const uint8_t* file);
    void read_notes(const uint8_t* file);
    void relocate(const uint8_t* file);

    std::vector<uint8_t> storage_;
    uint8_t* image_ = nullptr; ///< page-aligned in `storage_`
    uint64_t image_size_ = 0;
    uint64_t code_begin_ = 0, code_end_ = 0;
    std::string processor_;
    std::unique_ptr<Program> program_;
    std::map<std::string, Kernel> kernels_;
};

} // namespace amd_emulator
