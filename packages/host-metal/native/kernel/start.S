/* Where firmware enters: a0 is the hart's number, a1 the device tree (boot hart) or what we gave (others). */
#include "csr.h"
#include "hart.h"

    .section .text.start, "ax"
    .globl _start
_start:
    /* The header of a RISC-V Linux Image (Documentation/arch/riscv/boot-image-header.rst), so that boot loaders know us. */
    j start
    .balign 8
    .dword 0x200000
    .dword image_size
    .dword 0
    .word 2
    .word 0
    .dword 0
    .ascii "RISCV\0\0\0"
    .ascii "RSC\x05"
    .word 0

    .globl start
start:
    csrw CSR_SIE, zero
    csrw 0x180, zero /* satp: identity */
    .option push
    .option norelax
    la gp, __global_pointer$
    .option pop
    la t0, bss_start
    la t1, bss_end
1:  bgeu t0, t1, 2f
    sd zero, 0(t0)
    addi t0, t0, 8
    j 1b
2:  la sp, boot_stack_top
    la tp, tls_start
    la t0, hart_trap
    csrw CSR_STVEC, t0
    li t0, SSTATUS_FS_CLEAN
    csrs CSR_SSTATUS, t0
    fscsr zero
    li s0, 0
    call kernel_main
3:  wfi
    j 3b

    /* The other harts: a1 is their struct hart. */
    .globl start_secondary
start_secondary:
    csrw CSR_SIE, zero
    csrw 0x180, zero
    .option push
    .option norelax
    la gp, __global_pointer$
    .option pop
    ld sp, HART_STACK(a1)
    la tp, tls_start
    csrw CSR_SSCRATCH, a1
    la t0, hart_trap
    csrw CSR_STVEC, t0
    li t0, SSTATUS_FS_CLEAN
    csrs CSR_SSTATUS, t0
    fscsr zero
    mv a0, a1
    li s0, 0
    call hart_serve

    /* A trap of the kernel itself: either one that was reckoned with (HART_RECOVER), or a crash. */
    .balign 4
    .globl hart_trap
hart_trap:
    csrrw sp, CSR_SSCRATCH, sp
    .irp r, 1,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    sd x\r, HART_REGISTERS+8*\r(sp)
    .endr
    csrrw t0, CSR_SSCRATCH, sp
    sd t0, HART_REGISTERS+16(sp)
    csrr t1, CSR_SEPC
    sd t1, HART_REGISTERS(sp)
    ld t1, HART_RECOVER(sp)
    beqz t1, 1f
    sd zero, HART_RECOVER(sp)
    csrw CSR_SEPC, t1
    mv a0, sp
    .irp r, 1,2,3,4,5,6,7,8,9,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    ld x\r, HART_REGISTERS+8*\r(a0)
    .endr
    ld a0, HART_REGISTERS+80(a0)
    sret
1:  mv a0, sp
    ld sp, HART_CRASH_STACK(sp)
    li s0, 0
    call crash
