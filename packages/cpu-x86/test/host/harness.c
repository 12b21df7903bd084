/*
 * Runs code on the host's own processor, in user mode, with every register given, and tells how it ended.
 *
 * No stubs in assembly: a signal handler replaces the context that the kernel returns to, and the code ends in a signal of its own
 * (INT3, or an exception), whose handler takes the registers out and puts the old context back. 32-bit code runs the same way,
 * by the selector of compatibility mode.
 *
 * Reads records from standard input, and writes one answer for each to standard output: see host.ts.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

#define MEMORY_AT 0x10000000ul
#define MEMORY_SIZE 0x3000u
#define CODE_SIZE 0x1000u
#define CS_64 0x33
#define CS_32 0x23
#define SS_USER 0x2b
/* XSAVE's standard format: the legacy region, the header, whose first word tells which parts are there, and the upper halves of YMM. */
#define EXTENDED_SIZE 832u
#define LEGACY_SIZE 416u
#define HEADER_AT 512u
#define UPPER_AT 576u
#define UPPER_SIZE 256u
#define X87_SSE_AVX 7u
#define UC_SIGCONTEXT_SS_BIT 2
#define UC_STRICT_RESTORE_SS_BIT 4

struct record {
    uint32_t mode;
    uint32_t code_length;
    uint64_t registers[16];
    uint64_t flags;
    uint8_t extended[EXTENDED_SIZE];
};

struct answer {
    uint32_t signal;
    uint32_t vector;
    uint64_t registers[16];
    uint64_t flags;
    uint64_t rip;
    uint8_t extended[EXTENDED_SIZE];
};

/* The order of the processor's numbers. */
static const int order[16] = {
    REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
    REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15,
};

static struct record record;
static struct answer answer;
static ucontext_t before;
static uint8_t before_extended[EXTENDED_SIZE];
/* Whether the host has AVX: then the frame of a signal has the upper halves of YMM. */
static int avx;
static volatile int running;

/* From one image to another, what of it is compared. */
static void copy_extended(uint8_t *to, const uint8_t *from) {
    memcpy(to, from, LEGACY_SIZE);
    if (avx) memcpy(to + UPPER_AT, from + UPPER_AT, UPPER_SIZE);
}

/* A part that is as at reset may be left out of a frame. */
static void complete(uint8_t *frame) {
    uint64_t present;
    if (!avx) return;
    memcpy(&present, frame + HEADER_AT, sizeof present);
    if ((present & 4) == 0) memset(frame + UPPER_AT, 0, UPPER_SIZE);
    if ((present & 2) == 0) memset(frame + 160, 0, 256);
    if ((present & 1) == 0) {
        static const uint16_t control = 0x37f;
        memset(frame, 0, 24);
        memset(frame + 32, 0, 128);
        memcpy(frame, &control, sizeof control);
    }
    present |= X87_SSE_AVX;
    memcpy(frame + HEADER_AT, &present, sizeof present);
}

static void start(int number, siginfo_t *info, void *argument) {
    ucontext_t *context = argument;
    greg_t *general = context->uc_mcontext.gregs;
    (void)number;
    (void)info;
    memcpy(before.uc_mcontext.gregs, general, sizeof before.uc_mcontext.gregs);
    before.uc_flags = context->uc_flags;
    uint8_t *frame = (uint8_t *)context->uc_mcontext.fpregs;
    complete(frame);
    copy_extended(before_extended, frame);
    copy_extended(frame, record.extended);
    for (int i = 0; i < 16; i++) general[order[i]] = (greg_t)record.registers[i];
    general[REG_RIP] = MEMORY_AT;
    general[REG_EFL] = (greg_t)(record.flags | 0x202);
    if (record.mode == 32) {
        general[REG_CSGSFS] = (general[REG_CSGSFS] & ~0xffffll) | CS_32;
        general[REG_CSGSFS] = (general[REG_CSGSFS] & 0x0000ffffffffffffll) | ((greg_t)SS_USER << 48);
        context->uc_flags |= UC_SIGCONTEXT_SS_BIT | UC_STRICT_RESTORE_SS_BIT;
    }
    running = 1;
}

static void finish(int number, siginfo_t *info, void *argument) {
    ucontext_t *context = argument;
    greg_t *general = context->uc_mcontext.gregs;
    (void)info;
    /* The kernel leaves AC as the code had it. */
    __builtin_ia32_writeeflags_u64(__builtin_ia32_readeflags_u64() & ~0x40000ull);
    if (!running) _exit(3);
    running = 0;
    answer.signal = (uint32_t)number;
    answer.vector = (uint32_t)general[REG_TRAPNO];
    for (int i = 0; i < 16; i++) answer.registers[i] = (uint64_t)general[order[i]];
    answer.flags = (uint64_t)general[REG_EFL];
    answer.rip = (uint64_t)general[REG_RIP] - MEMORY_AT;
    uint8_t *frame = (uint8_t *)context->uc_mcontext.fpregs;
    complete(frame);
    copy_extended(answer.extended, frame);
    copy_extended(frame, before_extended);
    memcpy(general, before.uc_mcontext.gregs, sizeof before.uc_mcontext.gregs);
    context->uc_flags = before.uc_flags;
}

static int take(void *to, size_t size) {
    return fread(to, 1, size, stdin) == size;
}

int main(void) {
    static const int ends[] = { SIGTRAP, SIGILL, SIGSEGV, SIGBUS, SIGFPE, SIGVTALRM };
    /* In 64-bit mode they may be null, and 32-bit code needs them. */
    __asm__ volatile("mov %0, %%ds; mov %0, %%es" : : "r"(SS_USER));
    avx = __builtin_cpu_supports("avx");
    uint8_t *memory = mmap((void *)MEMORY_AT, MEMORY_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    stack_t stack = { .ss_sp = malloc(1 << 16), .ss_size = 1 << 16 };
    struct sigaction action = { .sa_flags = SA_SIGINFO | SA_ONSTACK };
    if (memory == MAP_FAILED || stack.ss_sp == NULL || sigaltstack(&stack, NULL) != 0) return 2;
    action.sa_sigaction = start;
    sigaction(SIGUSR1, &action, NULL);
    action.sa_sigaction = finish;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) sigaction(ends[i], &action, NULL);

    while (take(&record, sizeof record)) {
        if (record.code_length > CODE_SIZE || !take(memory, MEMORY_SIZE)) return 2;
        /* Of CPU time, so that a busy host is no reason. */
        struct itimerval limit = { { 0, 0 }, { 20, 0 } };
        setitimer(ITIMER_VIRTUAL, &limit, NULL);
        raise(SIGUSR1);
        memset(&limit, 0, sizeof limit);
        setitimer(ITIMER_VIRTUAL, &limit, NULL);
        if (fwrite(&answer, sizeof answer, 1, stdout) != 1 || fwrite(memory + CODE_SIZE, MEMORY_SIZE - CODE_SIZE, 1, stdout) != 1) return 2;
    }
    return 0;
}
