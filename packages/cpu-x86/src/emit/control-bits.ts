/** Bits of control registers, of EFER and of XCR0 (SDM volume 3, 2.5, 2.2.1 and 2.6). */
export const Cr0 = { pe: 1, mp: 2, em: 4, ts: 8, et: 16, ne: 32, wp: 0x1_0000, am: 0x4_0000, nw: 0x2000_0000, cd: 0x4000_0000, pg: 0x8000_0000 } as const
/** Those that there are. */
export const CR0_BITS: bigint = BigInt(Object.values(Cr0).reduce<number>((bits, bit) => bits | bit, 0) >>> 0)
export const Cr4 = { vme: 1, pvi: 2, tsd: 4, de: 8, pse: 16, pae: 32, mce: 64, pge: 128, pce: 256, osfxsr: 512, osxmmexcpt: 1024, umip: 0x800, la57: 0x1000, fsgsbase: 0x1_0000, pcide: 0x2_0000, osxsave: 0x4_0000, smep: 0x10_0000, smap: 0x20_0000 } as const
export const Efer = { sce: 1, lme: 0x100, lma: 0x400, nxe: 0x800 } as const
export const Xcr0 = { x87: 1, sse: 2, avx: 4 } as const
/** IA32_APIC_BASE: how a local APIC is reached, and where (SDM volume 3, 12.4.4 and 12.12.1). */
export const ApicBase = { extended: 0x400, enabled: 0x800, address: 0xf_ffff_ffff_f000n } as const
