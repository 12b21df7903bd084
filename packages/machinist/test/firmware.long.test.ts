/** M-mode firmware of the user's: Debian's packages opensbi and u-boot-qemu. */
import { existsSync } from 'node:fs'
import { expect, it } from 'vitest'
import { CLI, inGuest, type Running, start } from './support.ts'

const OPENSBI = '/usr/lib/riscv64-linux-gnu/opensbi/generic'
const U_BOOT = '/usr/lib/u-boot'

it.each([
  [`${OPENSBI}/fw_jump.elf`, 1], [`${OPENSBI}/fw_jump.bin`, 1], [`${OPENSBI}/fw_dynamic.bin`, 1], [`${OPENSBI}/fw_dynamic.elf`, 4],
])('%s starts Linux with %d harts', async (firmware, harts) => {
  expect(existsSync(firmware), 'install the package opensbi').toBe(true)
  const { status, stdout, stderr } = await inGuest("nproc; dmesg | sed -n 's/.*SBI implementation //p'", ['--firmware', firmware, '--harts', String(harts)])
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  expect(stdout.toString()).toMatch(new RegExp(`^${harts}\nID=0x1 `))
})

async function uBoot(args: readonly string[]): Promise<Running> {
  const session = start(process.execPath, [CLI, 'run', ...args])
  await session.wait('Hit any key')
  session.type(' ')
  await session.wait('=> ')
  session.type('\nversion\n')
  await session.wait(/version\s+U-Boot 20\d\d\.\d\d/)
  await session.wait('=> ')
  session.type('poweroff\n')
  return session
}

it('OpenSBI starts U-Boot in S-mode', async () => {
  const session = await uBoot(['--firmware', `${OPENSBI}/fw_dynamic.bin`, '--kernel', `${U_BOOT}/qemu-riscv64_smode/uboot.elf`])
  expect((await session.ended).status).toBe(0)
})

it('U-Boot as M-mode firmware', async () => {
  const session = await uBoot(['--firmware', `${U_BOOT}/qemu-riscv64/u-boot.bin`, '--kernel', 'none'])
  expect((await session.ended).status).toBe(0)
})
