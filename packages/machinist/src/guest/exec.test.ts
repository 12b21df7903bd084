import { execFileSync } from 'node:child_process'
import { readCpio } from '@machinist/boot'
import { isMachinistError } from '@machinist/api'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { guestCommandLine } from './command-line.ts'
import { execInitrd, execOutput, execRequest } from './exec.ts'
import { EXEC, SESSION, START } from './scripts.ts'

const TOKEN = '0123456789abcdef0123456789abcdef'

interface Heard { out: number[]; err: number[]; other: number[]; exits: number[] }

function listen(): { heard: Heard; output: ReturnType<typeof execOutput> } {
  const heard: Heard = { out: [], err: [], other: [], exits: [] }
  const output = execOutput(TOKEN, {
    stdout: (bytes) => heard.out.push(...bytes),
    stderr: (bytes) => heard.err.push(...bytes),
    other: (bytes) => heard.other.push(...bytes),
    exit: (status) => heard.exits.push(status),
  })
  return { heard, output }
}

const bytesOf = (text: string): number[] => [...Buffer.from(text, 'latin1')]

type Item = readonly [kind: 1 | 2 | 'noise', bytes: Uint8Array]
const payload = fc.oneof(
  fc.uint8Array({ maxLength: 40 }),
  // What resembles frames: separators, the token, headers cut off.
  fc.array(fc.constantFrom('\x1e', TOKEN, ' 1 5\n', '\x1e0123', 'x 3\n', `\x1e${TOKEN.slice(0, 31)}f 1 3\n`, '\r\n'), { maxLength: 5 }).map((parts) => Uint8Array.from(bytesOf(parts.join('')))),
)
const item: fc.Arbitrary<Item> = fc.tuple(fc.constantFrom<1 | 2 | 'noise'>(1, 2, 'noise'), payload)

describe('execOutput', () => {
  it('takes the frames out of any noise, however it is cut', () => {
    fc.assert(
      fc.property(fc.array(item, { maxLength: 8 }), fc.nat(255), fc.infiniteStream(fc.integer({ min: 1, max: 30 })), (items, status, sizes) => {
        const expected: Heard = { out: [], err: [], other: [], exits: [status] }
        const stream: number[] = []
        for (const [kind, bytes] of items) {
          if (kind === 'noise') {
            // The token is secret: noise may have all but that.
            if (Buffer.from(bytes).includes(`\x1e${TOKEN}`) || Buffer.from(bytes).includes(0x1e)) continue
            stream.push(...bytes)
            expected.other.push(...bytes)
          } else {
            stream.push(...bytesOf(`\x1e${TOKEN} ${kind} ${bytes.length}\n`), ...bytes)
            ;(kind === 1 ? expected.out : expected.err).push(...bytes)
          }
        }
        stream.push(...bytesOf(`\x1e${TOKEN} x ${status}\n`), ...bytesOf('Power down'))
        expected.other.push(...bytesOf('Power down'))
        const { heard, output } = listen()
        for (let at = 0; at < stream.length; ) {
          const size = sizes.next().value
          output.push(Uint8Array.from(stream.slice(at, at + size)))
          at += size
        }
        expect(heard).toEqual(expected)
        expect(output.status).toBe(status)
      }),
      { numRuns: 500 },
    )
  })

  it('passes separators and broken headers on, and holds back no more than a header', () => {
    for (const text of ['\x1e', '\x1e\x1e\x1ehello', `\x1e${TOKEN} 3 5\nhello`, `\x1e${TOKEN} 1 99999999999\nx`, `\x1e${TOKEN} x 256\n`, `\x1e${TOKEN} 1 999999\n`]) {
      const { heard, output } = listen()
      for (const byte of bytesOf(`${text}${'.'.repeat(80)}`)) output.push(Uint8Array.of(byte))
      expect(Buffer.from(heard.other).toString('latin1')).toBe(`${text}${'.'.repeat(80)}`)
      expect(heard.exits).toEqual([])
    }
  })
})

describe('execRequest', () => {
  it('makes an archive with the command, and a token that is new each time', () => {
    const files = (bytes: Uint8Array) => new Map(readCpio(bytes).map((entry) => [entry.path, Buffer.from(entry.bytes).toString()]))
    const one = files(execRequest('echo "ä"', { channel: '/dev/hvc0' }).initrd)
    expect(one.get('machinist/exec')).toBe('echo "ä"\n')
    expect(one.get('machinist/channel')).toBe('/dev/hvc0\n')
    expect(one.get('machinist/token')).toMatch(/^[0-9a-f]{32}\n$/)
    expect(files(execRequest('x').initrd).get('machinist/token')).not.toBe(one.get('machinist/token'))
    expect(files(execInitrd('x', TOKEN)).has('machinist/channel')).toBe(false)
  })

  it('refuses a NUL', () => {
    try {
      execRequest('a\0b')
      expect.unreachable()
    } catch (error) {
      expect(isMachinistError(error) && error.part).toBe('--exec')
    }
  })
})

it('the scripts of the guest are syntactically right', () => {
  for (const script of [START, SESSION, EXEC]) execFileSync('sh', ['-n'], { input: script })
})

it('the command line holds what was asked for, and no more words than that', () => {
  expect(guestCommandLine({ console: 'hvc0' })).toBe('console=hvc0 earlycon=sbi')
  expect(guestCommandLine({ console: 'ttyS0', quiet: true, rows: 40, columns: 132, term: 'xterm-256color', append: 'loglevel=7' })).toBe(
    'console=ttyS0 quiet earlycon=sbi machinist.rows=40 machinist.columns=132 TERM=xterm-256color loglevel=7',
  )
  expect(guestCommandLine({ console: 'ttyS0', rows: 0, columns: NaN, term: 'x init=/bin/sh' })).toBe('console=ttyS0 earlycon=sbi')
})
