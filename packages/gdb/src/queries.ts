import { targetDescription } from './description.ts'
import type { MonitorView } from './monitor.ts'
import { MAX_PACKET } from './packet.ts'
import { parseSmallHex, textToHex } from './text.ts'
import { parseThread } from './threads.ts'

/** What we can, and what we ask GDB to tell us of itself (GDB manual, "General Query Packets"). */
const SUPPORTED = `PacketSize=${MAX_PACKET.toString(16)};qXfer:features:read+;qXfer:threads:read+;QStartNoAckMode+;vContSupported+;swbreak+;hwbreak+`

/** A part of `text`, as `qXfer` asks for it. */
function transfer(text: string, request: string): string {
  const [offset, length] = request.split(',').map((part) => parseSmallHex(part))
  if (offset === null || offset === undefined || length === null || length === undefined) return 'E01'
  const part = text.slice(offset, offset + Math.min(length, MAX_PACKET / 2))
  return `${offset + part.length < text.length ? 'm' : 'l'}${part}`
}

/** What is told of a hart. */
function threadText({ machine }: MonitorView, index: number): string {
  const mode = machine.vcpus[index]?.sample?.(1).mode
  return `hart ${index}${mode === undefined ? '' : `, ${mode} mode`}${machine.vcpus[index]?.runnable === true ? '' : ', waits or is stopped'}`
}

/**
 * Answers a query that looks and changes nothing; null for what is none.
 *
 * @param hart - the index of the hart that the debugger looks at
 * @param known - takes what the debugger says it understands
 * @param reverses - whether the machine can go back
 */
export function answerQuery(view: MonitorView, hart: number, data: string, known: Set<string>, reverses: boolean): string | null {
  const { harts } = view
  const description = harts[0]
  if (description === undefined) return null
  const [name = ''] = data.split(/[:,]/, 1)
  switch (name) {
    case 'qSupported':
      for (const feature of data.slice(name.length + 1).split(';')) if (/^(sw|hw)break\+$/.test(feature)) known.add(feature.slice(0, -1))
      return reverses ? `${SUPPORTED};ReverseStep+;ReverseContinue+` : SUPPORTED
    case 'qAttached':
      return '1'
    case 'qC':
      return `QC${(hart + 1).toString(16)}`
    case 'qSymbol':
      return 'OK'
    case 'qfThreadInfo':
      return `m${harts.map((_, index) => (index + 1).toString(16)).join(',')}`
    case 'qsThreadInfo':
      return 'l'
    case 'qThreadExtraInfo': {
      const thread = parseThread(data.slice(name.length + 1), harts.length)
      return typeof thread === 'number' ? textToHex(threadText(view, thread)) : 'E01'
    }
    case 'qqemu.PhyMemMode':
      return view.memory.physical ? '1' : '0'
    case 'qXfer': {
      const [, object, annex, request = ''] = /^qXfer:(\w+):read:([^:]*):(.*)$/s.exec(data) ?? []
      if (object === 'features') return annex === 'target.xml' ? transfer(targetDescription(description), request) : 'E00'
      if (object !== 'threads') return ''
      const threads = harts.map((_, index) => `<thread id="${(index + 1).toString(16)}" core="${index}" name="hart${index}">${threadText(view, index)}</thread>`)
      return transfer(`<?xml version="1.0"?>\n<threads>\n${threads.join('\n')}\n</threads>\n`, request)
    }
  }
  return null
}
