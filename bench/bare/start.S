/*
 * The smallest guest: a Linux Image header (Documentation/arch/riscv/boot-image-header.rst), one line on the UART of
 * the virt machine, and power off by SBI. It shows how soon after its process started a machine runs guest code.
 */
  .option norvc
  .global _start
_start:
  j begin
  .word 0
  .dword 0x200000                 /* text_offset */
  .dword end - _start             /* image_size */
  .dword 0                        /* flags: little endian */
  .word 2                         /* version 0.2 */
  .word 0
  .dword 0
  .ascii "RISCV\0\0\0"            /* magic */
  .ascii "RSC\005"                /* magic2 */
  .word 0

begin:
  li t0, 0x10000000               /* the UART's transmit register; its line status is five further */
  lla t1, line
1:
  lbu t2, (t1)
  beqz t2, 3f
2:
  lbu t3, 5(t0)
  andi t3, t3, 0x20               /* THR empty */
  beqz t3, 2b
  sb t2, (t0)
  addi t1, t1, 1
  j 1b
3:
  li a7, 0x53525354               /* SRST */
  li a6, 0                        /* system_reset */
  li a0, 0                        /* shutdown */
  li a1, 0
  ecall
4:
  wfi
  j 4b

line:
  .asciz "@@bench init instret=0\n@@bench done\n"
  .balign 4096
end:
