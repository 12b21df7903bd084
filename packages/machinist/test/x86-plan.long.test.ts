/** How x86 kernels are started, without our processor: QEMU begins where the plan says. */
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { planX86Boot, type X86Protocol } from '@machinist/boot'
import { afterAll, expect, it } from 'vitest'
import { prepareGuest } from '../src/index.ts'
import { stubImage } from './x86/stub-image.ts'

const folder = mkdtempSync(join(tmpdir(), 'machinist-x86-plan-'))
afterAll(() => { rmSync(folder, { recursive: true }) })

/** What QEMU says on its serial line, until it has said `end` or ends. */
function qemu(file: string, end: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn('qemu-system-x86_64', ['-M', 'microvm', '-m', '1G', '-nodefaults', '-display', 'none', '-serial', 'stdio', '-no-reboot', '-kernel', file], { stdio: ['ignore', 'pipe', 'inherit'] })
    let said = ''
    child.stdout.on('data', (bytes: Buffer) => {
      said += bytes.toString('latin1')
      if (said.includes(end)) child.kill()
    })
    child.on('error', reject)
    child.on('close', () => { resolve(said) })
  })
}

it.each<X86Protocol>(['linux64', 'linux32'])("Debian's kernel for amd64 begins by %s", async (protocol) => {
  const { kernel, release } = await prepareGuest({ architecture: 'amd64' })
  const append = 'console=ttyS0 earlyprintk=serial,ttyS0'
  const file = join(folder, protocol)
  writeFileSync(file, stubImage(planX86Boot({ memory: [{ base: 0, size: 2 ** 30 }], kernel: readFileSync(kernel), append, protocol })))
  const said = await qemu(file, 'Zone ranges:')
  expect(said).toContain(`Linux version ${release}`)
  expect(said).toContain(`Command line: ${append}`)
  expect(said).toContain('[mem 0x0000000000100000-0x000000003fffffff] usable')
})
