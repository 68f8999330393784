// Loops that are compiled for several kinds of processors; the dynamic loader chooses by what the processor can do (the
// levels of the x86-64 psABI; "arch=skylake-avx512" would mean this very model).
#pragma once

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 12
#define TY_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define TY_CLONES
#endif
#define TY_INLINE [[gnu::always_inline]] inline
