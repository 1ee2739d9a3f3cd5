#pragma once

#include <dlfcn.h>

#include <stdexcept>
#include <string>
#include <vector>

namespace ck_fmha::gpu {

// What a driver refused: its own words, and which call it was.
class DriverError : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

// A driver's library, opened when it is first needed and never closed.
class SharedLibrary {
public:
    // Where a library may be. `path`, if it is not empty, and no other place; else the first that has it: a copy that
    // is in the process already, the folders, then `usual`, paths or names that the loader looks for.
    struct Places {
        const char* what; // "HIP driver"
        const char* name; // "libamdhip64.so", without a version
        std::string path;
        std::vector<std::string> folders;
        std::vector<std::string> usual;
    };
    // Throws DriverError with every place that was tried. `needed` stands in the message of require().
    SharedLibrary(const Places& places, const char* needed);

    const std::string& path() const { return path_; }

    // function = the function of that name; null if there is none.
    template <class Function>
    void find(const char* name, Function& function) const
    {
        function = reinterpret_cast<Function>(dlsym(handle_, name));
    }
    template <class Function>
    void require(const char* name, Function& function) const
    {
        find(name, function);
        if (function == nullptr) refuse(name);
    }

private:
    [[noreturn]] void refuse(const char* name) const;

    std::string path_;
    const char* needed_;
    void* handle_ = nullptr;
};

} // namespace ck_fmha::gpu
