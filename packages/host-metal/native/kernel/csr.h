/* Control and status registers by their numbers (RISC-V Privileged Architecture 1.12), since assemblers do not know all names of the H extension. */
#pragma once

#define CSR_SSTATUS 0x100
#define CSR_SIE 0x104
#define CSR_STVEC 0x105
#define CSR_SCOUNTEREN 0x106
#define CSR_SENVCFG 0x10a
#define CSR_SSCRATCH 0x140
#define CSR_SEPC 0x141
#define CSR_SCAUSE 0x142
#define CSR_STVAL 0x143
#define CSR_SIP 0x144
#define CSR_STIMECMP 0x14d
#define CSR_SISELECT 0x150
#define CSR_SIREG 0x151
#define CSR_STOPEI 0x15c
#define CSR_STOPI 0xdb0
#define CSR_VSSTATUS 0x200
#define CSR_VSIE 0x204
#define CSR_VSTVEC 0x205
#define CSR_VSSCRATCH 0x240
#define CSR_VSEPC 0x241
#define CSR_VSCAUSE 0x242
#define CSR_VSTVAL 0x243
#define CSR_VSTIMECMP 0x24d
#define CSR_VSISELECT 0x250
#define CSR_VSIREG 0x251
#define CSR_VSATP 0x280
#define CSR_HSTATUS 0x600
#define CSR_HEDELEG 0x602
#define CSR_HIDELEG 0x603
#define CSR_HIE 0x604
#define CSR_HTIMEDELTA 0x605
#define CSR_HCOUNTEREN 0x606
#define CSR_HGEIE 0x607
#define CSR_HENVCFG 0x60a
#define CSR_HSTATEEN0 0x60c
#define CSR_HTVAL 0x643
#define CSR_HIP 0x644
#define CSR_HVIP 0x645
#define CSR_HTINST 0x64a
#define CSR_HGATP 0x680
#define CSR_TIME 0xc01

#define SSTATUS_SIE (1ul << 1)
#define SSTATUS_SPIE (1ul << 5)
#define SSTATUS_SPP (1ul << 8)
#define SSTATUS_FS (3ul << 13)
#define SSTATUS_FS_CLEAN (2ul << 13)
#define SSTATUS_SUM (1ul << 18)
#define SSTATUS_MXR (1ul << 19)
#define SSTATUS_UXL (3ul << 32)
#define SSTATUS_UXL_64 (2ul << 32)

#define HSTATUS_SPV (1 << 7)
#define HSTATUS_SPVP (1ul << 8)
/* The first of the hardware's guest interrupt files, which is all that is used. */
#define HSTATUS_VGEIN_FIRST (1ul << 12)
#define HSTATUS_VTW (1ul << 21)
#define HSTATUS_VSXL_64 (2ul << 32)

#define HENVCFG_STCE (1ul << 63)
#define HENVCFG_PBMTE (1ul << 62)
#define HENVCFG_CBZE (1ul << 7)
#define HENVCFG_CBCFE (1ul << 6)
#define HENVCFG_CBIE_FLUSH (1ul << 4)

#define HSTATEEN_ENVCFG (1ul << 62)
#define HSTATEEN_SE (1ul << 63)
/* siselect and sireg; the rest of AIA; the interrupt file. */
#define HSTATEEN_AIA (7ul << 58)

#define IP_SSIP (1ul << 1)
#define IP_VSSIP (1ul << 2)
#define IP_STIP (1ul << 5)
#define IP_VSTIP (1ul << 6)
#define IP_SEIP (1ul << 9)
#define IP_VSEIP (1ul << 10)

#define CAUSE_INTERRUPT (1ul << 63)
#define CAUSE_ILLEGAL 2
#define CAUSE_LOAD_ACCESS 5
#define CAUSE_STORE_ACCESS 7
#define CAUSE_VS_ECALL 10
#define CAUSE_FETCH_GUEST_PAGE 20
#define CAUSE_LOAD_GUEST_PAGE 21
#define CAUSE_VIRTUAL 22
#define CAUSE_STORE_GUEST_PAGE 23

#ifndef __ASSEMBLER__
#define csr_text_(x) #x
#define csr_text(x) csr_text_(x)
#define csr_read(csr) ({ unsigned long value_; asm volatile("csrr %0, " csr_text(csr) : "=r"(value_)::"memory"); value_; })
#define csr_write(csr, value) ({ unsigned long value_ = (value); asm volatile("csrw " csr_text(csr) ", %0" ::"r"(value_) : "memory"); })
#define csr_set(csr, value) ({ unsigned long value_ = (value); asm volatile("csrs " csr_text(csr) ", %0" ::"r"(value_) : "memory"); })
#define csr_clear(csr, value) ({ unsigned long value_ = (value); asm volatile("csrc " csr_text(csr) ", %0" ::"r"(value_) : "memory"); })
#endif
