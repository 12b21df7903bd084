# A guest of two harts, for harts.ts. Data at 0x80002000: +0 a count, +8 what hart 1 does: 0 waits, 1 spins, 2 reads 0x80100000 and tells when it sees the number at +16.
    .option norvc
    .globl _start
_start:
    li s0, 0x80002000
    li s1, 100
    li s2, 0
1:  li a0, 2
    li a1, 0
    li a6, 0
    li a7, 0x735049 # IPI
    ecall
    bnez a0, failed
2:  lw t0, 0(s0)
    ble t0, s2, 2b
    mv s2, t0
    li a0, 2
    li a6, 1
    li a7, 0x52464e43 # RFENCE, sfence.vma
    ecall
    bnez a0, failed
    li a0, 4 # there is no hart 2
    li a6, 0
    li a7, 0x735049
    ecall
    li t0, -3
    bne a0, t0, failed
    blt s2, s1, 1b
    li a7, 100
    ecall
    j _start
failed:
    li a7, 101
    ecall
    j failed

    .org 0x400
    li s0, 0x80002000
    li s3, 0x80100000
    la t0, interrupted
    csrw stvec, t0
    csrsi sie, 2
    csrsi sstatus, 2
3:  lw t1, 8(s0)
    beqz t1, 4f
    li t2, 1
    beq t1, t2, 3b
    lw t3, 0(s3)
    lw t4, 16(s0)
    bne t3, t4, 3b
    li a7, 102
    ecall
    j 3b
4:  wfi
    j 3b
    .balign 4
interrupted:
    csrci sip, 2
    lw t5, 0(s0)
    addi t5, t5, 1
    sw t5, 0(s0)
    sret
