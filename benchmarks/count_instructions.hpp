#pragma once

// How many instructions a piece of code executes in user space. Unlike a time, the number is the same in every run, so
// that two versions can be compared on a busy machine. Linux only.

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <linux/perf_event.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace instructions {

// The processor's counter. Many virtual machines have none.
class HardwareCounter {
public:
    HardwareCounter()
    {
        perf_event_attr attr{};
        attr.size = sizeof attr;
        attr.type = PERF_TYPE_HARDWARE;
        attr.config = PERF_COUNT_HW_INSTRUCTIONS;
        attr.disabled = 1;
        attr.exclude_kernel = 1;
        attr.exclude_hv = 1;
        file_ = static_cast<int>(syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0));
    }
    ~HardwareCounter()
    {
        if (file_ >= 0) close(file_);
    }
    HardwareCounter(const HardwareCounter&) = delete;
    HardwareCounter& operator=(const HardwareCounter&) = delete;

    bool available() const { return file_ >= 0; }

    template <class Body>
    int64_t count(const Body& body) const
    {
        int64_t executed = 0;
        ioctl(file_, PERF_EVENT_IOC_RESET, 0);
        ioctl(file_, PERF_EVENT_IOC_ENABLE, 0);
        body();
        ioctl(file_, PERF_EVENT_IOC_DISABLE, 0);
        if (read(file_, &executed, sizeof executed) != sizeof executed) std::abort();
        return executed;
    }

private:
    int file_;
};

[[noreturn]] inline void fail(const char* what)
{
    std::fprintf(stderr, "instructions cannot be counted: %s: %s\n", what, std::strerror(errno));
    std::exit(1);
}

// Without a counter: a child executes the body one instruction at a time between two SIGSTOPs. Some microseconds each.
template <class Body>
int64_t count_by_stepping(const Body& body)
{
    const pid_t child = fork();
    if (child < 0) fail("fork");
    if (child == 0) {
        ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
        raise(SIGSTOP);
        body();
        raise(SIGSTOP);
        _exit(0);
    }
    const auto stopped_by = [child](int signal) {
        int status = 0;
        if (waitpid(child, &status, 0) != child || !WIFSTOPPED(status)) fail("the traced child ended");
        return WSTOPSIG(status) == signal;
    };
    while (!stopped_by(SIGSTOP))
        ptrace(PTRACE_CONT, child, nullptr, nullptr);
    int64_t executed = 0;
    do {
        ++executed;
        if (ptrace(PTRACE_SINGLESTEP, child, nullptr, nullptr) != 0) fail("ptrace");
    } while (!stopped_by(SIGSTOP));
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    return executed;
}

// Instructions of `body` beyond those of an empty one.
template <class Body>
int64_t count(const Body& body)
{
    static const HardwareCounter counter;
    const auto nothing = [] {};
    if (counter.available()) return counter.count(body) - counter.count(nothing);
    static const int64_t overhead = count_by_stepping(nothing);
    return count_by_stepping(body) - overhead;
}

} // namespace instructions
