# Where a small kernel begins, and how it takes traps. M-mode (-DMACHINE): all harts come here at once. Otherwise below SBI: one hart does.
#define STACK 8192

.macro around handler, ret
  addi sp, sp, -128
  sd ra, 0(sp)
  sd t0, 8(sp)
  sd t1, 16(sp)
  sd t2, 24(sp)
  sd t3, 32(sp)
  sd t4, 40(sp)
  sd t5, 48(sp)
  sd t6, 56(sp)
  sd a0, 64(sp)
  sd a1, 72(sp)
  sd a2, 80(sp)
  sd a3, 88(sp)
  sd a4, 96(sp)
  sd a5, 104(sp)
  sd a6, 112(sp)
  sd a7, 120(sp)
  call \handler
  ld ra, 0(sp)
  ld t0, 8(sp)
  ld t1, 16(sp)
  ld t2, 24(sp)
  ld t3, 32(sp)
  ld t4, 40(sp)
  ld t5, 48(sp)
  ld t6, 56(sp)
  ld a0, 64(sp)
  ld a1, 72(sp)
  ld a2, 80(sp)
  ld a3, 88(sp)
  ld a4, 96(sp)
  ld a5, 104(sp)
  ld a6, 112(sp)
  ld a7, 120(sp)
  addi sp, sp, 128
.endm

  .section .text.start
  .globl _start
_start:
#ifdef MACHINE
  csrr a0, mhartid
#endif
  .globl hart_start
hart_start:
  la sp, stacks
  li t0, STACK
  addi t1, a0, 1
  mul t0, t0, t1
  add sp, sp, t0
#ifdef MACHINE
  call machine_main
#else
  call supervisor_main
#endif
1:
  wfi
  j 1b

#ifdef MACHINE
  .balign 4
  .globl machine_vector
machine_vector:
  csrrw sp, mscratch, sp
  around machine_trap
  csrrw sp, mscratch, sp
  mret
#endif

  .balign 4
  .globl supervisor_vector
supervisor_vector:
  around supervisor_trap
  sret

  .bss
  .balign 16
stacks:
  .space 2 * STACK
