import type { Item, ListedBlock, ListedCode, ListedWayOut, PageTranslation } from '@machinist/translator'
import { hex } from './program.ts'

/** Columns of the guest's side, at least. */
const GUEST_COLUMNS = 28

/** The three sections of what `machinist translate` prints. */
export function listing(page: PageTranslation): string {
  return `${blocksText(page)}\n${nestingText(page)}\n${codeText(page)}`
}

/** The guest's code in basic blocks. */
export function blocksText({ blocks, nesting }: PageTranslation): string {
  const headers = new Set(loops(nesting).map(({ header }) => header))
  return `Blocks\n${blocks.map((block, index) => blockText(block, index, headers.has(index))).join('')}`
}

function blockText({ entry, instructions, successors, waysOut }: ListedBlock, index: number, header: boolean): string {
  const notes = [...(entry === null ? [] : [`entry ${entry}`]), ...(header ? ['header of a loop'] : [])]
  const digits = Math.max(8, ...instructions.map(({ code }) => code.length))
  const lines = instructions.map(({ address, code, text }) => `    ${plain(address)}  ${code.padEnd(digits)}  ${text}\n`)
  const ways = [...successors.map((block) => `B${block}`), ...waysOut.map(wayText)]
  return `  B${index}${notes.length === 0 ? '' : `  ${notes.join(', ')}`}\n${lines.join('')}    -> ${ways.join(', ')}\n`
}

function wayText(way: ListedWayOut): string {
  switch (way.kind) {
    case 'address':
      return hex(way.address)
    case 'indirect':
      return 'an address computed at run time'
    case 'escape':
      return 'the interpreter, for the last instruction'
  }
}

/** How the blocks are nested. */
export function nestingText({ nesting }: PageTranslation): string {
  return `Nesting\n${nestText(nesting, '  ')}`
}

function nestText(items: readonly Item[], indent: string): string {
  let text = ''
  let run: string[] = []
  const flush = (): void => {
    for (let i = 0; i < run.length; i += 16) text += `${indent}${run.slice(i, i + 16).join(' ')}\n`
    run = []
  }
  for (const item of items) {
    if (item.kind === 'block') {
      run.push(`B${item.block}`)
      continue
    }
    flush()
    const others = item.entries.filter((block) => block !== item.header).map((block) => `B${block}`)
    text += `${indent}loop, header B${item.header}${others.length === 0 ? '' : `, entered at ${others.join(', ')} too`}\n${nestText(item.items, `${indent}  `)}`
  }
  flush()
  return text
}

/** All loops, the inner ones too. */
export function loops(items: readonly Item[]): readonly Extract<Item, { readonly kind: 'loop' }>[] {
  return items.flatMap((item) => (item.kind === 'block' ? [] : [item, ...loops(item.items)]))
}

/** Guest code and WebAssembly, side by side. */
export function codeText({ code }: PageTranslation): string {
  const rows = code.map((stretch, i) => ({ left: title(stretch, code[i - 1]), right: stretchText(stretch) })).filter(({ left, right }) => left !== '' || right.length > 0)
  const columns = Math.min(44, Math.max(GUEST_COLUMNS, ...rows.map(({ left }) => left.length + 2)))
  return `Code\n${rows.map(({ left, right }) => sideBySide(left, right, columns)).join('')}`
}

function title({ kind, block, instruction, lines }: ListedCode, before: ListedCode | undefined): string {
  switch (kind) {
    case 'entry':
      return '  entry'
    case 'nesting':
      return before?.kind === 'nesting' ? '' : `  B${block ?? ''}`
    case 'block':
      // A block has such code before its instructions and behind them.
      return before?.kind === 'nesting' || lines.length === 0 ? '' : `  end of B${block ?? ''}`
    case 'instruction':
      return instruction === null ? '' : `    ${plain(instruction.address)}  ${instruction.text}`
  }
}

/** The lines of a stretch, indented by the ifs in it: the blocks are too many to be. */
function stretchText({ lines }: ListedCode): readonly string[] {
  const open: string[] = []
  return lines.flatMap(({ kind, text }) => {
    if (kind === 'end') open.pop()
    const depth = open.filter((outer) => outer === 'if').length - (kind === 'else' ? 1 : 0)
    if (kind === 'block' || kind === 'loop' || kind === 'if') open.push(kind)
    return text.split('\n').map((part) => '  '.repeat(depth) + part)
  })
}

function sideBySide(left: string, right: readonly string[], columns: number): string {
  // What is too long for its column gets a line of its own.
  const alone = left.length + 2 > columns && right.length > 0
  const lines = alone ? [left] : []
  right.forEach((line, i) => lines.push((i === 0 && !alone ? left : '').padEnd(columns) + line))
  if (lines.length === 0) lines.push(left)
  return lines.map((line) => `${line.trimEnd()}\n`).join('')
}

function plain(address: bigint): string {
  return BigInt.asUintN(64, address).toString(16)
}
