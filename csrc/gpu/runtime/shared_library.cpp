#include "gpu/runtime/shared_library.hpp"

#include <link.h>

#include <utility>

namespace ck_fmha::gpu {
namespace {

// The path of a copy of the library that the process has loaded already, or "".
std::string loaded_library(const char* name)
{
    std::pair<std::string, std::string> search(name, "");
    dl_iterate_phdr(
        [](dl_phdr_info* object, size_t, void* data) {
            auto& [name, found] = *static_cast<std::pair<std::string, std::string>*>(data);
            const std::string path = object->dlpi_name == nullptr ? "" : object->dlpi_name;
            if (path.compare(path.rfind('/') + 1, name.size(), name) != 0) return 0;
            found = path;
            return 1;
        },
        &search);
    return search.second;
}

} // namespace

SharedLibrary::SharedLibrary(const Places& places, const char* needed) : needed_(needed)
{
    std::vector<std::string> candidates;
    if (!places.path.empty()) {
        candidates = {places.path};
    } else {
        if (const std::string loaded = loaded_library(places.name); !loaded.empty()) candidates.push_back(loaded);
        for (const std::string& folder : places.folders)
            candidates.push_back(folder + "/" + places.name);
        candidates.insert(candidates.end(), places.usual.begin(), places.usual.end());
    }
    std::string tried;
    for (const std::string& candidate : candidates) {
        handle_ = dlopen(candidate.c_str(), RTLD_NOW | RTLD_LOCAL);
        if (handle_ != nullptr) {
            path_ = candidate;
            return;
        }
        tried += std::string("\n  ") + dlerror();
    }
    throw DriverError(std::string("ck_fmha: no ") + places.what + " library could be loaded; tried:" + tried);
}

void SharedLibrary::refuse(const char* name) const
{
    throw DriverError("ck_fmha: " + path_ + " has no " + name + ": " + needed_ + " is needed");
}

} // namespace ck_fmha::gpu
