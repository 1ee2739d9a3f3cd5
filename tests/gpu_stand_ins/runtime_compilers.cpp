// NVRTC and hiprtc, whose interfaces have one shape: a source "compiles" to a code object that holds its arguments and
// itself. A source that contains "#error" fails.

#include <cstring>
#include <string>

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {

constexpr int kSuccess = 0, kCompilationFailed = 6;

struct Program {
    std::string source, log, code;
};

int version(int major, int* to_major, int* to_minor)
{
    *to_major = major;
    *to_minor = 3;
    return kSuccess;
}
int compile(Program* program, int num_options, const char* const* options)
{
    program->code = "\177ELF";
    for (int n = 0; n < num_options; ++n)
        program->code += std::string("\n") + options[n];
    program->code += "\n" + program->source;
    const bool fails = program->source.find("#error") != std::string::npos;
    program->log = fails ? "kernel.cu(1): error: it was asked for" : "";
    return fails ? kCompilationFailed : kSuccess;
}
int copy(const std::string& from, char* to)
{
    std::memcpy(to, from.data(), from.size());
    return kSuccess;
}

} // namespace

#define CK_FMHA_RUNTIME_COMPILER(prefix, major, Code)                                                                  \
    EXPORT int prefix##Version(int* to_major, int* to_minor) { return version(major, to_major, to_minor); }            \
    EXPORT int prefix##CreateProgram(Program** program, const char* source, const char*, int, const char* const*,      \
                                     const char* const*)                                                               \
    {                                                                                                                  \
        *program = new Program{source, "", ""};                                                                        \
        return kSuccess;                                                                                               \
    }                                                                                                                  \
    EXPORT int prefix##DestroyProgram(Program** program)                                                               \
    {                                                                                                                  \
        delete *program;                                                                                               \
        *program = nullptr;                                                                                            \
        return kSuccess;                                                                                               \
    }                                                                                                                  \
    EXPORT int prefix##CompileProgram(Program* program, int num_options, const char* const* options)                   \
    {                                                                                                                  \
        return compile(program, num_options, options);                                                                 \
    }                                                                                                                  \
    EXPORT int prefix##GetProgramLogSize(Program* program, size_t* size)                                               \
    {                                                                                                                  \
        *size = program->log.size();                                                                                   \
        return kSuccess;                                                                                               \
    }                                                                                                                  \
    EXPORT int prefix##GetProgramLog(Program* program, char* to) { return copy(program->log, to); }                    \
    EXPORT int prefix##Get##Code##Size(Program* program, size_t* size)                                                 \
    {                                                                                                                  \
        *size = program->code.size();                                                                                  \
        return kSuccess;                                                                                               \
    }                                                                                                                  \
    EXPORT int prefix##Get##Code(Program* program, char* to) { return copy(program->code, to); }                       \
    EXPORT const char* prefix##GetErrorString(int error)                                                               \
    {                                                                                                                  \
        return error == kCompilationFailed ? #prefix "_ERROR_COMPILATION" : "no such error";                           \
    }

CK_FMHA_RUNTIME_COMPILER(nvrtc, 12, CUBIN)
CK_FMHA_RUNTIME_COMPILER(hiprtc, 6, Code)

EXPORT int nvrtcGetNumSupportedArchs(int* count)
{
    *count = 2;
    return kSuccess;
}
EXPORT int nvrtcGetSupportedArchs(int* archs)
{
    archs[0] = 80;
    archs[1] = 90;
    return kSuccess;
}
