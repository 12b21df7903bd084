/** What each machine takes, every second. */
import type { PageMachine } from '@machinist/element'
import type { Card } from './card.ts'

interface Sample {
  readonly machine: PageMachine
  readonly at: number
  readonly retired: number
  readonly runTime: number
}

interface Use {
  readonly mips: number
  /** Of one processor, 0 to 1. */
  readonly cpu: number
  readonly memory: number
  /** Seconds. */
  readonly time: number
}

const text = {
  mips: (value: number): string => value < 10 ? value.toFixed(1) : value.toFixed(0),
  cpu: (value: number): string => `${(100 * value).toFixed(0)} %`,
  memory: (value: number): string => `${(value / 2 ** 20).toFixed(0)} MiB`,
  time: (value: number): string => `${Math.floor(value / 60)}:${String(Math.floor(value % 60)).padStart(2, '0')}`,
}

/** Asks the machines of a page, and shows what they say. */
export function showTop(section: HTMLElement, cards: () => readonly Card[]): () => Promise<void> {
  const body = section.querySelector('tbody') as HTMLTableSectionElement
  const total = [...section.querySelectorAll('tfoot td')]
  const samples = new Map<Card, Sample>()
  const rows = new Map<Card, HTMLTableRowElement>()

  const use = async (card: Card): Promise<Use | null> => {
    const { machine } = card
    if (machine === null || card.state === 'loading' || card.state === 'failed') return null
    const stats = await machine.stats().catch(() => null)
    if (stats === null) return null
    const now = { machine, at: performance.now(), retired: stats.retired, runTime: stats.runTime }
    const before = samples.get(card)
    samples.set(card, now)
    const passed = before?.machine === machine ? (now.at - before.at) / 1000 : 0
    const since = (one: number, other: number | undefined): number => passed > 0 ? Math.max(0, one - (other ?? 0)) / passed : 0
    return { mips: since(now.retired, before?.retired) / 1e6, cpu: Math.min(1, since(now.runTime, before?.runTime) / 1e9), memory: stats.touchedMemory, time: stats.virtualTime / 1e9 }
  }

  const rowOf = (card: Card): HTMLTableRowElement => {
    const known = rows.get(card)
    if (known !== undefined) return known
    const row = document.createElement('tr')
    const name = document.createElement('th')
    name.scope = 'row'
    name.textContent = card.wanted.name
    row.append(name, ...Array.from({ length: 4 }, () => document.createElement('td')))
    rows.set(card, row)
    body.append(row)
    return row
  }

  return async () => {
    const all = cards()
    section.hidden = all.length === 0
    for (const [card, row] of rows) {
      if (all.includes(card)) continue
      row.remove()
      rows.delete(card)
      samples.delete(card)
    }
    const uses = await Promise.all(all.map(use))
    for (const [at, card] of all.entries()) {
      const [, mips, cpu, memory, time] = [...rowOf(card).children]
      const used = uses[at] ?? null
      for (const [cell, value] of [[mips, used && text.mips(used.mips)], [cpu, used && text.cpu(used.cpu)], [memory, used && text.memory(used.memory)], [time, used && text.time(used.time)]] as const) if (cell) cell.textContent = value ?? '–'
      rowOf(card).style.setProperty('--cpu', String(used?.cpu ?? 0))
    }
    const sum = (of: (one: Use) => number): number => uses.reduce((so, one) => so + (one === null ? 0 : of(one)), 0)
    for (const [at, value] of [text.mips(sum(({ mips }) => mips)), text.cpu(sum(({ cpu }) => cpu)), text.memory(sum(({ memory }) => memory)), ''].entries()) if (total[at]) total[at].textContent = value
  }
}
