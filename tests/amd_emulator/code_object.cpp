#include "code_object.hpp"

#include "fault.hpp"
#include "message_pack.hpp"

#include <elf.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace amd_emulator {
namespace {

constexpr uint64_t kPage = 4096;
constexpr uint16_t kMachineAmdgpu = 224;
constexpr uint32_t kNoteAmdgpuMetadata = 32;
constexpr uint32_t kRelocationRelative64 = 13;

template <class T>
T read(const uint8_t* from)
{
    T value;
    std::memcpy(&value, from, sizeof value);
    return value;
}

template <class F>
void for_each_segment(const uint8_t* file, F function)
{
    const auto header = read<Elf64_Ehdr>(file);
    for (int i = 0; i < header.e_phnum; ++i) {
        function(read<Elf64_Phdr>(file + header.e_phoff + static_cast<size_t>(i) * header.e_phentsize));
    }
}
template <class F>
void for_each_section(const uint8_t* file, F function)
{
    const auto header = read<Elf64_Ehdr>(file);
    for (int i = 0; i < header.e_shnum; ++i) {
        function(read<Elf64_Shdr>(file + header.e_shoff + static_cast<size_t>(i) * header.e_shentsize));
    }
}

KernelDescriptor read_descriptor(const uint8_t* at)
{
    KernelDescriptor result{};
    result.lds_size = read<uint32_t>(at);
    result.scratch_size = read<uint32_t>(at + 4);
    result.kernarg_size = read<uint32_t>(at + 8);
    result.entry = reinterpret_cast<uint64_t>(at) + static_cast<uint64_t>(read<int64_t>(at + 16));
    result.rsrc3 = read<uint32_t>(at + 44);
    result.rsrc1 = read<uint32_t>(at + 48);
    result.rsrc2 = read<uint32_t>(at + 52);
    result.properties = read<uint16_t>(at + 56);
    return result;
}

bool ends_with(const std::string& text, const char* suffix)
{
    const size_t length = std::strlen(suffix);
    return text.size() > length && text.compare(text.size() - length, length, suffix) == 0;
}

/// The processor's number in the ELF header (EF_AMDGPU_MACH), by LLVM's AMDGPU usage guide.
std::string processor_of(uint32_t flags)
{
    switch (flags & 0xff) {
    case 0x3f:
        return "gfx90a";
    case 0x4c:
        return "gfx942";
    default:
        return format("processor 0x%x", flags & 0xff);
    }
}

} // namespace

CodeObject::CodeObject(const void* data)
{
    const auto* file = static_cast<const uint8_t*>(data);
    if (std::memcmp(file, "__CLANG_OFFLOAD_BUNDLE__", 24) == 0) {
        throw std::runtime_error("an offload bundle: compile with --no-gpu-bundle-output");
    }
    if (std::memcmp(file, ELFMAG, SELFMAG) != 0) {
        throw std::runtime_error("not an ELF file");
    }
    if (read<Elf64_Ehdr>(file).e_machine != kMachineAmdgpu) {
        throw std::runtime_error("not code for AMD GPUs");
    }
    processor_ = processor_of(read<Elf64_Ehdr>(file).e_flags);
    if (processor_ != "gfx90a" && processor_ != "gfx942") {
        throw std::runtime_error("code for " + processor_ + "; this emulator knows gfx90a and gfx942");
    }
    load_segments(file);
    relocate(file);
    read_symbols(file);
    read_notes(file);
    for (const auto& entry : kernels_) {
        if (entry.second.descriptor.uses_wave32()) {
            throw std::runtime_error("waves of 32 lanes are not modelled");
        }
    }
    program_ = std::make_unique<Program>(image_ + code_begin_, code_end_ - code_begin_, processor_);
}

void CodeObject::load_segments(const uint8_t* file)
{
    for_each_segment(file, [&](const Elf64_Phdr& segment) {
        if (segment.p_type == PT_LOAD) {
            image_size_ = std::max(image_size_, segment.p_vaddr + segment.p_memsz);
        }
    });
    storage_.resize(image_size_ + kPage);
    const auto address = reinterpret_cast<uint64_t>(storage_.data());
    image_ = storage_.data() + ((address + kPage - 1) / kPage * kPage - address);
    for_each_segment(file, [&](const Elf64_Phdr& segment) {
        if (segment.p_type != PT_LOAD) {
            return;
        }
        std::memcpy(image_ + segment.p_vaddr, file + segment.p_offset, segment.p_filesz);
        if ((segment.p_flags & PF_X) != 0) {
            code_begin_ = segment.p_vaddr;
            code_end_ = segment.p_vaddr + segment.p_filesz;
        }
    });
    if (code_end_ == code_begin_) {
        throw std::runtime_error("a code object without code");
    }
}

void CodeObject::relocate(const uint8_t* file)
{
    for_each_section(file, [&](const Elf64_Shdr& section) {
        if (section.sh_type != SHT_RELA) {
            return;
        }
        for (uint64_t i = 0; i < section.sh_size / sizeof(Elf64_Rela); ++i) {
            const auto relocation = read<Elf64_Rela>(file + section.sh_offset + i * sizeof(Elf64_Rela));
            if (ELF64_R_TYPE(relocation.r_info) != kRelocationRelative64) {
                throw std::runtime_error("a relocation of a type that is not modelled");
            }
            const uint64_t value = image_begin() + static_cast<uint64_t>(relocation.r_addend);
            std::memcpy(image_ + relocation.r_offset, &value, sizeof value);
        }
    });
}

void CodeObject::read_symbols(const uint8_t* file)
{
    const auto header = read<Elf64_Ehdr>(file);
    std::map<std::string, uint64_t> function_sizes;
    for_each_section(file, [&](const Elf64_Shdr& section) {
        if (section.sh_type != SHT_DYNSYM) {
            return;
        }
        const auto strings = read<Elf64_Shdr>(file + header.e_shoff + section.sh_link * size_t{header.e_shentsize});
        for (uint64_t i = 0; i < section.sh_size / sizeof(Elf64_Sym); ++i) {
            const auto symbol = read<Elf64_Sym>(file + section.sh_offset + i * sizeof(Elf64_Sym));
            const std::string name = reinterpret_cast<const char*>(file + strings.sh_offset + symbol.st_name);
            if (ELF64_ST_TYPE(symbol.st_info) == STT_FUNC) {
                function_sizes[name] = symbol.st_size;
            }
            if (!ends_with(name, ".kd")) {
                continue;
            }
            Kernel kernel;
            kernel.name = name.substr(0, name.size() - 3);
            kernel.descriptor = read_descriptor(image_ + symbol.st_value);
            kernels_[kernel.name] = kernel;
        }
    });
    for (auto& entry : kernels_) {
        entry.second.code_size = function_sizes[entry.first];
    }
}

void CodeObject::read_notes(const uint8_t* file)
{
    for_each_segment(file, [&](const Elf64_Phdr& segment) {
        if (segment.p_type != PT_NOTE) {
            return;
        }
        const uint8_t* next = file + segment.p_offset;
        const uint8_t* end = next + segment.p_filesz;
        while (static_cast<size_t>(end - next) >= sizeof(Elf64_Nhdr)) {
            const auto note = read<Elf64_Nhdr>(next);
            const uint8_t* content = next + sizeof note + (note.n_namesz + 3) / 4 * 4;
            next = content + (note.n_descsz + 3) / 4 * 4;
            if (note.n_type != kNoteAmdgpuMetadata || next > end) {
                continue;
            }
            const PackedValue metadata = read_message_pack(content, note.n_descsz);
            for (const PackedValue& item : metadata["amdhsa.kernels"].items) {
                const auto found = kernels_.find(item[".name"].text);
                if (found == kernels_.end()) {
                    continue;
                }
                Kernel& kernel = found->second;
                const auto number = [&](const char* name) { return static_cast<uint32_t>(item[name].number); };
                kernel.descriptor.kernarg_size =
                    std::max(kernel.descriptor.kernarg_size, number(".kernarg_segment_size"));
                kernel.max_work_group_size = number(".max_flat_workgroup_size");
                kernel.vgpr_count = number(".vgpr_count");
                kernel.agpr_count = number(".agpr_count");
                kernel.sgpr_count = number(".sgpr_count");
                kernel.vgpr_spills = number(".vgpr_spill_count");
                kernel.sgpr_spills = number(".sgpr_spill_count");
                for (const PackedValue& argument : item[".args"].items) {
                    kernel.arguments.push_back({static_cast<uint32_t>(argument[".offset"].number),
                                                static_cast<uint32_t>(argument[".size"].number),
                                                argument[".value_kind"].text});
                }
            }
        }
    });
}

const Kernel* CodeObject::find(const std::string& name) const
{
    const auto found = kernels_.find(name);
    return found == kernels_.end() ? nullptr : &found->second;
}

} // namespace amd_emulator
