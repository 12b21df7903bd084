import type { Size } from './form.ts'

/** Conditions by their number (SDM volume 1, appendix B). */
export const conditionNames: readonly string[] = ['o', 'no', 'b', 'ae', 'e', 'ne', 'be', 'a', 's', 'ns', 'p', 'np', 'l', 'ge', 'le', 'g']

const legacy = ['ax', 'cx', 'dx', 'bx', 'sp', 'bp', 'si', 'di']
const bytes = ['al', 'cl', 'dl', 'bl', 'ah', 'ch', 'dh', 'bh']
const uniform = ['al', 'cl', 'dl', 'bl', 'spl', 'bpl', 'sil', 'dil']
const suffixes: Readonly<Record<Size, string>> = { 1: 'b', 2: 'w', 4: 'd', 8: '' }

/** Segment registers by number (SDM volume 2, 3.1.1.3). */
export const segmentNames: readonly string[] = ['es', 'cs', 'ss', 'ds', 'fs', 'gs']

/** The name of a general register; `rex` tells SPL from AH (SDM volume 1, table 3-2). */
export function registerName(number: number, size: Size, rex: boolean): string {
  if (number >= 8) return `r${number}${suffixes[size]}`
  const base = legacy[number] ?? ''
  if (size === 1) return (rex ? uniform : bytes)[number] ?? ''
  return size === 2 ? base : size === 4 ? `e${base}` : `r${base}`
}
