/** @param {number | null} value */
const whole = (value) => value === null ? '' : value.toLocaleString('en').replaceAll(',', ' ')
/** @param {number} value */
const mega = (value) => `${(value / 1e6).toFixed(0)} M`
/** @param {number} bytes */
const mebi = (bytes) => `${(bytes / 2 ** 20).toFixed(2)} MiB`

/** @param {Awaited<ReturnType<typeof import('./measure.mjs').measure>>} figures */
export function table({ rows, boot, start, image }) {
  /** @param {number | null} value @param {number | null} of @param {number} digits */
  const ratio = (value, of, digits) => value === null || of === null ? '' : (value / of).toFixed(digits)
  return [
    '| once | without a hypervisor | on the metal | KVM |',
    '|---|---:|---:|---:|',
    ...rows.filter(({ name }) => name !== 'compute').map(({ name, what, direct, metal, kvm }) => `| \`${name}\`: ${what} | ${whole(direct)} | ${whole(metal)} | ${whole(kvm)} |`),
    '',
    '| | without a hypervisor | on the metal | ratio | KVM | ratio |',
    '|---|---:|---:|---:|---:|---:|',
    ...rows.filter(({ name }) => name === 'compute').map(({ what, direct, metal, kvm }) => `| ${what} | ${whole(direct)} | ${whole(metal)} | ${ratio(metal, direct, 4)} | ${whole(kvm)} | ${ratio(kvm, direct, 4)} |`),
    `| Debian, first instruction to prompt | ${mega(boot.direct)} | ${mega(boot.metal)} | ${ratio(boot.metal, boot.direct, 2)} | ${boot.kvm === null ? '' : mega(boot.kvm)} | ${ratio(boot.kvm, boot.direct, 2)} |`,
    '',
    `Of Debian's boot on the metal, ${mega(boot.guest)} are the guest's own instructions. From reset to the first instruction of Debian ${mega(start.linux)}, of the bare program ${mega(start.bare)}.`,
    `The image with Debian is ${mebi(image.whole)}: kernel and engine ${mebi(image.whole - image.files - image.program)}, the program ${mebi(image.program)}, images of guests ${mebi(image.files)}.`,
    '',
  ].join('\n')
}
