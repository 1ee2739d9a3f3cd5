/* What the emulator offers beyond HIP. A program that drives a real GPU's library finds none of these and does without.
 * All functions return 0 for success, or a hipError_t; ck_fmha_emulator_last_failure() says more. */
#ifndef CK_FMHA_EMULATOR_API_H
#define CK_FMHA_EMULATOR_API_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CK_FMHA_EMULATOR_MAX_RANK 6
enum { CK_FMHA_EMULATOR_READ = 1, CK_FMHA_EMULATOR_WRITE = 2 };

/* A strided array that a launch may access. Rows may have gaps between them (which then are out of bounds) but not
 * overlap; a stride of 0 repeats. */
typedef struct ck_fmha_emulator_extent {
    const void* base;
    uint64_t element_size; /* bytes */
    int64_t sizes[CK_FMHA_EMULATOR_MAX_RANK];
    int64_t strides[CK_FMHA_EMULATOR_MAX_RANK]; /* bytes */
    uint32_t rank;
    uint32_t access;  /* CK_FMHA_EMULATOR_READ | CK_FMHA_EMULATOR_WRITE */
    const char* name; /* for messages; may be NULL */
} ck_fmha_emulator_extent;

/* The next launch may access these arrays and nothing else (besides its arguments and constants). Holds for one launch.
 * They may lie in memory of the device or of the host. */
int ck_fmha_emulator_next_launch(const ck_fmha_emulator_extent* extents, size_t count);

/* Kernels may access memory of the host: all that a launch's extents name, and for launches without extents what is
 * declared here. */
int ck_fmha_emulator_accesses_host_memory(void); /* 1 */
int ck_fmha_emulator_declare_host_memory(const void* base, size_t size);
int ck_fmha_emulator_forget_host_memory(const void* base);

/* The processor of a device, as compilers name it: "gfx942". NULL for a device that does not exist. */
const char* ck_fmha_emulator_architecture(int device);

/* How launches run from now on:
 * "work_groups=random,waves=reverse,interleave=7,resident=2,completion=early,seed=3,check_stores=0,
 * max_instructions=1000000". The environment variable CK_FMHA_EMULATOR_OPTIONS gives the initial ones; "" resets to
 * those. */
int ck_fmha_emulator_configure(const char* options);

/* What was executed since the last reset, as JSON: for each kernel launches, wave instructions by class and by
 * mnemonic, and for each basic block where it begins, how often it was entered and its instructions by class. Valid
 * until the next call in this thread. */
const char* ck_fmha_emulator_counters(void);
int ck_fmha_emulator_reset_counters(void);

/* The text of the last failure of this process, "" if there was none: the kind of fault, why, and the kernel,
 * work-group, wave, place and instruction. Valid until the next call in this thread. */
const char* ck_fmha_emulator_last_failure(void);
void ck_fmha_emulator_clear_failure(void);

#ifdef __cplusplus
}
#endif

#endif
