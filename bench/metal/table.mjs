/** @param {number | null} value */
const whole = (value) => value === null ? '' : value.toLocaleString('en').replaceAll(',', ' ')
/** @param {number} value */
const mega = (value) => `${(value / 1e6).toFixed(0)} M`
/** @param {number} bytes */
const mebi = (bytes) => `${(bytes / 2 ** 20).toFixed(2)} MiB`

/** Of a row, from which on what it leaves for later is told. */
const LATER = 0.05

/** @param {Awaited<ReturnType<typeof import('./measure.mjs').measure>>} figures */
export function table({ rows, boot, start, image }) {
  /** @param {number | null} value @param {number | null} of @param {number} digits */
  const ratio = (value, of, digits) => value === null || of === null ? '' : (value / of).toFixed(digits)
  /** What rows leave for later, where it is something. @param {'metal' | 'kvm'} side */
  const later = (side) => rows.filter((row) => (row[side].later ?? 0) > (row[side].once ?? 0) * LATER).map((row) => `\`${row.name}\` ${whole(row[side].later)}`).join(', ') || 'nothing'
  return [
    '| once | without a hypervisor | on the metal | KVM |',
    '|---|---:|---:|---:|',
    ...rows.filter(({ name }) => name !== 'compute').map(({ name, what, direct, metal, kvm }) => `| \`${name}\`: ${what} | ${whole(direct.once)} | ${whole(metal.once)} | ${whole(kvm.once)} |`),
    '',
    '| | without a hypervisor | on the metal | ratio | KVM | ratio |',
    '|---|---:|---:|---:|---:|---:|',
    ...rows.filter(({ name }) => name === 'compute').map(({ what, direct, metal, kvm }) => `| ${what} | ${whole(direct.once)} | ${whole(metal.once)} | ${ratio(metal.once, direct.once, 4)} | ${whole(kvm.once)} | ${ratio(kvm.once, direct.once, 4)} |`),
    `| Debian, first instruction to prompt | ${mega(boot.direct)} | ${mega(boot.metal)} | ${ratio(boot.metal, boot.direct, 2)} | ${boot.kvm === null ? '' : mega(boot.kvm)} | ${ratio(boot.kvm, boot.direct, 2)} |`,
    '',
    `Not in a row is what it leaves for later, for each round and by the 20 ms of rest behind it: on the metal ${later('metal')}${boot.kvm === null ? '' : `; under KVM ${later('kvm')}`}.`,
    `Of Debian's boot on the metal, ${mega(boot.guest)} are the guest's own instructions. From reset to the first instruction of Debian ${mega(start.linux)}, of the bare program ${mega(start.bare)}${start.kvm === null ? '' : `, to that of Debian under KVM ${mega(start.kvm)}`}.`,
    `The image is ${mebi(image.whole - image.files)} without the guests' own files: kernel and engine ${mebi(image.whole - image.files - image.program)}, the program ${mebi(image.program)}. Debian's kernel and initial file system, as Debian has them, are ${mebi(image.files)} more.`,
    '',
  ].join('\n')
}
