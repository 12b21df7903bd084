# Each hart gets a stack of 4 KiB, floating point, and main(its number).
    .globl _start
_start:
    csrr a0, mhartid
    la sp, stacks
    addi t0, a0, 1
    slli t0, t0, 12
    add sp, sp, t0
    li t0, 0x6000 # mstatus.FS
    csrs mstatus, t0
    call main

    .bss
    .balign 16
stacks:
    .space 65536
