import type { CheckReport, ImageInfo } from '@machinist/storage'

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const

/** A size for people. */
export function shortSize(bytes: number): string {
  const power = bytes === 0 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log2(bytes) / 10))
  return `${Number((bytes / 2 ** (10 * power)).toFixed(2))} ${UNITS[power]}`
}

/** A size for people, and exactly. */
function sizeText(bytes: number): string {
  return bytes < 1024 ? shortSize(bytes) : `${shortSize(bytes)} (${bytes} bytes)`
}

/** What comes from the image goes to a terminal: without control characters. */
export function plainText(text: string | number | boolean): string {
  return String(text).replace(/[\p{Cc}\p{Cf}]/gu, '\ufffd')
}

/** An image, a line for each thing to say. */
export function infoText(about: ImageInfo & { readonly file: string; readonly fileSize?: number; readonly allocated?: number }): string {
  const lines: [string, string][] = [['image', plainText(about.file)], ['format', about.format], ['size', sizeText(about.size)]]
  if (about.fileSize !== undefined) lines.push(['file', sizeText(about.fileSize)])
  if (about.allocated !== undefined) lines.push(['on disk', sizeText(about.allocated)])
  if (about.clusterSize !== undefined) lines.push(['cluster', sizeText(about.clusterSize)])
  if (about.backing !== undefined) lines.push(['backing', `${plainText(about.backing.name)}${about.backing.format === undefined ? '' : `, ${plainText(about.backing.format)}`}`])
  for (const [name, value] of Object.entries(about.details)) lines.push([plainText(name), plainText(value)])
  if (about.dirty === true) lines.push(['state', 'was not closed in good order'])
  if (about.corrupt === true) lines.push(['state', 'is marked as corrupt'])
  for (const { id, name, size, time } of about.snapshots ?? []) lines.push(['snapshot', `${plainText(id)} ${plainText(name)}, ${sizeText(size)}, ${new Date(time * 1000).toISOString()}`])
  const width = Math.max(...lines.map(([name]) => name.length)) + 2
  return lines.map(([name, value]) => `${name.padEnd(width)}${value}\n`).join('')
}

/** What a check found. */
export function checkText(report: CheckReport): string {
  const counted = (count: number, one: string, many: string): string => `${count} ${count === 1 ? one : many}`
  const fixed = report.corruptionsFixed + report.leaksFixed
  return [
    ...report.problems.map(plainText),
    ...(fixed > 0 ? [`Repaired: ${counted(report.corruptionsFixed, 'damage', 'damages')}, ${counted(report.leaksFixed, 'leak', 'leaks')}.`] : []),
    report.corruptions === 0 && report.leaks === 0 ? 'No errors.' : `${counted(report.corruptions, 'damage', 'damages')}, ${counted(report.leaks, 'leak', 'leaks')}.`,
    '',
  ].join('\n')
}
