/** A PC by the command line: its screen at a terminal and in a file, keys from there. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { blank, inTerminal, machinist, scratch } from './support.ts'

/** What a terminal shows, without what says where and in which colours, and without spaces: places that did not change are not written. */
const plain = (text: string): string => text.replaceAll(/\x1b\[[\d;?]*[A-Za-z]|\s/g, '')

/** A boot sector that shows each key's character, between brackets. */
function echo(): Uint8Array {
  const sector = new Uint8Array(512)
  // again: mov ah,0; int 16h; push ax; mov ax,0e5bh; int 10h; pop ax; mov ah,0eh; int 10h; mov ax,0e5dh; int 10h; jmp again
  sector.set([0xb4, 0x00, 0xcd, 0x16, 0x50, 0xb8, 0x5b, 0x0e, 0xcd, 0x10, 0x58, 0xb4, 0x0e, 0xcd, 0x10, 0xb8, 0x5d, 0x0e, 0xcd, 0x10, 0xeb, 0xea])
  sector.set([0x55, 0xaa], 510)
  return sector
}

it('a terminal shows the screen, has its keys pressed, and is as it was afterwards', async () => {
  const folder = scratch()
  const [disk, file] = [join(folder, 'echo.img'), join(folder, 'screen.png')]
  writeFileSync(disk, Buffer.concat([echo(), new Uint8Array(2 ** 20)]))
  const session = inTerminal(['--board', 'pc', '--memory', '64M', '--screenshot', file, disk])
  const seen = (what: string) => expect.poll(() => plain(session.text()), { timeout: 60_000, interval: 100 }).toContain(plain(what))
  await seen('Booting from Hard Disk')
  session.type('aB')
  await seen('[a][B]')
  session.type('\x01h')
  await seen('Any key goes back')
  session.type('q')
  await seen('Any key goes back to the screen. SeaBIOS')
  session.type('!')
  await seen('[a][B][!]')
  session.type('\x01x')
  await session.wait('[status 0, terminal same]')
  expect(plain(session.text())).toContain('[a][B][!][status0')
  expect(readFileSync(file).subarray(16, 24).toString('hex')).toBe('000002d000000190')
})

it('without a terminal its serial line is what is seen, and what a PC cannot have is refused', async () => {
  const disk = blank(join(scratch(), 'empty.img'), 2 ** 20)
  for (const [words, part] of [[['--kernel', 'x'], '--kernel'], [['--exec', 'ls'], '--exec'], [['--arch', 'riscv64'], '--arch'], [['--virtio', 'mmio'], '--virtio'], [['--console', 'hvc0'], '--console']] as const) {
    const { status, stderr } = await machinist(['--board', 'pc', ...words, disk])
    expect([status, stderr]).toEqual([2, expect.stringContaining(part)])
  }
  expect((await machinist(['--screenshot', 'x.png'])).stderr).toContain('--board pc')
})
