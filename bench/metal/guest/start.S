/* A program of one hart in S-mode: the header of a Linux Image (Documentation/arch/riscv/boot-image-header.rst), a stack, and interrupts to interrupted() of main.c. */
    .option norvc
    .section .text.start, "ax"
    .globl _start
_start:
    j begin
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
begin:
    la sp, stack_end
    la t0, trap
    csrw stvec, t0
    mv a0, a1
    call main

    .balign 4
trap:
    addi sp, sp, -256
    .irp r, 1,5,6,7,10,11,12,13,14,15,16,17,28,29,30,31
    sd x\r, 8*\r(sp)
    .endr
    csrr a0, scause
    call interrupted
    .irp r, 1,5,6,7,10,11,12,13,14,15,16,17,28,29,30,31
    ld x\r, 8*\r(sp)
    .endr
    addi sp, sp, 256
    sret
