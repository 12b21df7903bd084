/** @param {number | null} value */
const whole = (value) => value === null ? '' : value.toLocaleString('en').replaceAll(',', ' ')
/** @param {number} value */
const mega = (value) => `${(value / 1e6).toFixed(0)} M`
/** @param {number} bytes */
const mebi = (bytes) => `${(bytes / 2 ** 20).toFixed(2)} MiB`

/** @param {Awaited<ReturnType<typeof import('./measure.mjs').measure>>} figures */
export function table({ rows, boot, start, image }) {
  return [
    '| once | without a hypervisor | on the metal |',
    '|---|---:|---:|',
    ...rows.filter(({ name }) => name !== 'compute').map(({ name, what, direct, metal }) => `| \`${name}\`: ${what} | ${whole(direct)} | ${whole(metal)} |`),
    '',
    '| | without a hypervisor | on the metal | ratio |',
    '|---|---:|---:|---:|',
    ...rows.filter(({ name }) => name === 'compute').map(({ what, direct, metal }) => `| ${what} | ${whole(direct)} | ${whole(metal)} | ${((metal ?? NaN) / (direct ?? NaN)).toFixed(4)} |`),
    `| Debian, first instruction to prompt | ${mega(boot.direct)} | ${mega(boot.metal)} | ${(boot.metal / boot.direct).toFixed(2)} |`,
    '',
    `Of Debian's boot on the metal, ${mega(boot.guest)} are the guest's own instructions. From reset to the first instruction of Debian ${mega(start.linux)}, of the bare program ${mega(start.bare)}.`,
    `The image with Debian is ${mebi(image.whole)}: kernel and engine ${mebi(image.whole - image.files - image.program)}, the program ${mebi(image.program)}, images of guests ${mebi(image.files)}.`,
    '',
  ].join('\n')
}
