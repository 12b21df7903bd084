/* The switch between the kernel and a guest. */
#include "csr.h"
#include "hart.h"
#include "record.h"

#define VCPU_RECORD 0
#define VCPU_HART 8
#define VCPU_STACK 16
#define VCPU_SCRATCH 24

    .text
    /* void world_run(struct vcpu *): sepc, sstatus and hstatus are set, and so are the guest's CSRs. */
    .globl world_run
world_run:
    addi sp, sp, -128
    sd ra, 0(sp)
    sd gp, 8(sp)
    sd tp, 16(sp)
    sd s0, 24(sp)
    sd s1, 32(sp)
    .irp r, 18,19,20,21,22,23,24,25,26,27
    sd x\r, 40+8*(\r-18)(sp)
    .endr
    sd sp, VCPU_STACK(a0)
    csrw CSR_SSCRATCH, a0
    la t0, guest_trap
    csrw CSR_STVEC, t0
    ld t6, VCPU_RECORD(a0)
    .irp r, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30
    ld x\r, RECORD_X+8*\r(t6)
    .endr
    ld t6, RECORD_X+8*31(t6)
    sret

    .balign 4
guest_trap:
    csrrw t6, CSR_SSCRATCH, t6
    sd t5, VCPU_SCRATCH(t6)
    ld t5, VCPU_RECORD(t6)
    .irp r, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29
    sd x\r, RECORD_X+8*\r(t5)
    .endr
    ld t0, VCPU_SCRATCH(t6)
    sd t0, RECORD_X+8*30(t5)
    ld t0, VCPU_HART(t6)
    csrrw t1, CSR_SSCRATCH, t0
    sd t1, RECORD_X+8*31(t5)
    csrr t0, CSR_SEPC
    sd t0, RECORD_PC(t5)
    la t0, hart_trap
    csrw CSR_STVEC, t0
    ld sp, VCPU_STACK(t6)
    ld ra, 0(sp)
    ld gp, 8(sp)
    ld tp, 16(sp)
    ld s0, 24(sp)
    ld s1, 32(sp)
    .irp r, 18,19,20,21,22,23,24,25,26,27
    ld x\r, 40+8*(\r-18)(sp)
    .endr
    addi sp, sp, 128
    ret

    .globl fp_load
fp_load:
    .irp r, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    fld f\r, RECORD_F+8*\r(a0)
    .endr
    ld t0, RECORD_FCSR(a0)
    fscsr t0
    ret

    .globl fp_save
fp_save:
    .irp r, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    fsd f\r, RECORD_F+8*\r(a0)
    .endr
    frcsr t0
    sd t0, RECORD_FCSR(a0)
    fscsr zero
    ret

    /* fs0 to fs11 are the caller's: void fp_keep(uint64_t kept[12]), and fp_give_back after the guest's were saved. */
    .globl fp_keep
fp_keep:
    fsd f8, 0(a0)
    fsd f9, 8(a0)
    .irp r, 18,19,20,21,22,23,24,25,26,27
    fsd f\r, 16+8*(\r-18)(a0)
    .endr
    ret

    .globl fp_give_back
fp_give_back:
    fld f8, 0(a0)
    fld f9, 8(a0)
    .irp r, 18,19,20,21,22,23,24,25,26,27
    fld f\r, 16+8*(\r-18)(a0)
    .endr
    ret

    .globl guest_fetch
guest_fetch:
    /* From an access fault that firmware hands on, SPV may come back as it was: then the way on would lead into the guest. */
    li t0, HSTATUS_SPV
    csrc CSR_HSTATUS, t0
    la t0, 1f
    sd t0, HART_RECOVER(a0)
    .insn r 0x73, 4, 0x32, t1, a1, x3 /* hlvx.hu t1, (a1) */
    sd zero, HART_RECOVER(a0)
    sw t1, 0(a2)
    li a0, 1
    ret
    .balign 4
1:  li a0, 0
    ret

    .globl fence_guest
fence_guest:
    .insn r 0x73, 0, 0x11, x0, x0, x0 /* hfence.vvma zero, zero */
    ret

    .globl fence_tables
fence_tables:
    .insn r 0x73, 0, 0x31, x0, x0, a0 /* hfence.gvma zero, a0 */
    ret
