/**
 * Fetches Debian, and boots it on QEMU: what the guest does on another machine shows whether the guest is right.
 * Needs the network, apt, and `qemu-system-riscv64` (Debian's qemu-system-misc and opensbi).
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { concatInitrds, createFdt, describeChosen, parseFdt, planRiscvBoot, readCpio } from '@machinist/boot'
import type { BootPlan, Chosen } from '@machinist/boot'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { prepareGuest } from './debian.ts'
import type { PreparedGuest } from './debian.ts'
import { execRequest } from './exec.ts'

const QEMU = 'qemu-system-riscv64'
const PROMPT = 'machinist:~# '
let guest: PreparedGuest
let folder = ''

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'machinist-guest-'))
  guest = await prepareGuest()
})
afterAll(() => rmSync(folder, { recursive: true }))

/** Runs QEMU to its end; types the next line each time a prompt appears. */
function qemu(args: readonly string[], lines: readonly string[] = [], prompt: string = PROMPT): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const child = spawn(QEMU, ['-M', 'virt', '-m', '256', '-nographic', ...args], { stdio: ['pipe', 'pipe', 'inherit'] })
    const typed = [...lines]
    let all = Buffer.alloc(0)
    let from = 0
    let interrupted = false
    const timer = setTimeout(() => child.kill(), 20 * 60_000)
    child.stdout.on('data', (chunk: Buffer) => {
      all = Buffer.concat([all, chunk])
      // U-Boot counts down before it has a prompt.
      if (all.includes('Hit any key') && !interrupted) {
        interrupted = true
        child.stdin.write(' ')
      }
      const found = typed.length > 0 ? all.indexOf(prompt, from) : -1
      if (found < 0) return
      from = found + prompt.length
      child.stdin.write(`${typed.shift() ?? ''}\n`)
    })
    child.on('error', reject)
    child.on('close', () => {
      clearTimeout(timer)
      resolve(all)
    })
  })
}

async function exec(command: string, { channel = undefined as string | undefined, file = undefined as string | undefined, args = [] as string[] } = {}) {
  const request = execRequest(command, { channel })
  const initrd = join(folder, 'exec.cpio')
  writeFileSync(initrd, concatInitrds([readFileSync(guest.initrd), request.initrd]))
  const console = await qemu(['-kernel', guest.kernel, '-initrd', initrd, '-append', 'console=ttyS0', ...args])
  const out: Uint8Array[] = []
  const err: Uint8Array[] = []
  const output = request.output({ stdout: (bytes) => out.push(bytes), stderr: (bytes) => err.push(bytes), exit: () => undefined })
  output.push(file === undefined ? console : readFileSync(file))
  return { status: output.status, stdout: Buffer.concat(out), stderr: Buffer.concat(err).toString(), console: console.toString() }
}

describe('Debian on QEMU', () => {
  it('is fetched once', async () => {
    const told: string[] = []
    expect(await prepareGuest({ progress: (step) => { told.push(step) } })).toEqual(guest)
    expect(told).toEqual([])
    expect(statSync(guest.kernel).size).toBeGreaterThan(1e7)
  })

  it('comes to a shell with job control and a terminal of the given size, and goes with poweroff', async () => {
    const append = 'console=ttyS0 machinist.rows=40 machinist.columns=132 TERM=xterm-256color'
    const all = (await qemu(['-kernel', guest.kernel, '-initrd', guest.initrd, '-append', append], ['tty; stty size; echo $TERM', 'sleep 99 &', 'jobs', 'poweroff'])).toString()
    expect(all).toMatch(/\/dev\/ttyS0\r\n40 132\r\nxterm-256color\r\n/)
    expect(all).toMatch(/\[1\]\+ +Running +sleep 99/)
    expect(all).toContain('reboot: Power down')
    expect(all).not.toContain("can't access tty")
  })

  it('ends when its shell does', async () => {
    const all = (await qemu(['-kernel', guest.kernel, '-initrd', guest.initrd, '-append', 'console=ttyS0'], ['exit'])).toString()
    expect(all).toContain('reboot: Power down')
  })

  it('runs a command: output, errors and status apart from everything else', async () => {
    const result = await exec('echo hi; ls /nonexistent; printf "no newline\\r\\n\\000\\377"; exit 7')
    expect(result.stdout.toString('latin1')).toBe('hi\nno newline\r\n\0\xff')
    expect(result.stderr).toBe('ls: /nonexistent: No such file or directory\n')
    expect(result.status).toBe(7)
  })

  it('does not wait for what a command leaves behind, and loses none of its output', async () => {
    const result = await exec('sleep 1000 & seq 1 20000; kill -9 $$')
    expect(result.stdout.toString()).toBe(Array.from({ length: 20_000 }, (_, index) => `${index + 1}\n`).join(''))
    expect(result.status).toBe(137)
  })

  it.each([
    ['the port named for it', undefined, 'virtserialport,chardev=c,name=machinist.exec'],
    ['hvc0', '/dev/hvc0', 'virtconsole,chardev=c'],
  ])('answers on %s', async (_, channel, device) => {
    const file = join(folder, 'channel')
    const args = ['-device', 'virtio-serial-device', '-chardev', `file,id=c,path=${file}`, '-device', device]
    const result = await exec('seq 1 100000; echo oops >&2; false', { channel, file, args })
    expect(result.stdout.toString()).toBe(Array.from({ length: 100_000 }, (__, index) => `${index + 1}\n`).join(''))
    expect(result.stderr).toBe('oops\n')
    expect(result.status).toBe(1)
  })

  it('finds its devices and mounts ext4 without being told', async () => {
    const disk = join(folder, 'disk.img')
    writeFileSync(disk, '')
    truncateSync(disk, 64 << 20)
    execFileSync('mkfs.ext4', ['-q', '-F', disk])
    const args = ['-drive', `if=none,file=${disk},format=raw,id=d`, '-device', 'virtio-blk-device,drive=d', '-device', 'virtio-rng-device']
    const first = await exec('mount /dev/vda /mnt && seq 1 1000 > /mnt/f; head -c 8 /dev/hwrng | wc -c', { args })
    expect(first).toMatchObject({ status: 0, stderr: '' })
    expect(first.stdout.toString().trim()).toBe('8')
    execFileSync('e2fsck', ['-fn', disk], { stdio: 'pipe' })
    expect((await exec('mount /dev/vda /mnt && md5sum </mnt/f', { args })).stdout.toString()).toBe((await exec('seq 1 1000 | md5sum')).stdout.toString())
  })
})

// QEMU enters its flash when there is one and no firmware: from there, what a machine of ours does at power-on.
const FIRMWARE = ['/usr/share/qemu/opensbi-riscv64-generic-fw_dynamic.bin', '/usr/lib/riscv64-linux-gnu/opensbi/generic/fw_jump.elf', '/usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.elf']
const FLASH_SIZE = 32 << 20

function powerOn(pc: number, dtb: number, info: number): Uint8Array {
  const bytes = new Uint8Array(56)
  const view = new DataView(bytes.buffer)
  const ld = (register: number, offset: number): number => ((offset << 20) | (5 << 15) | (3 << 12) | (register << 7) | 3) >>> 0
  // csrr a0, mhartid; auipc t0, 0; ld a1, a2 and t1 from the end; jr t1
  ;[0xf140_2573, 0x0000_0297, ld(11, 28), ld(12, 36), ld(6, 44), 0x0003_0067].forEach((word, index) => view.setUint32(index * 4, word, true))
  ;[dtb, info, pc].forEach((value, index) => view.setBigUint64(32 + index * 8, BigInt(value), true))
  return bytes
}

/** QEMU's own description of its machine, with what we add to it; QEMU started as a machine of ours would be. */
function described(chosen: Chosen): Uint8Array {
  const file = join(folder, 'virt.dtb')
  execFileSync(QEMU, ['-M', `virt,dumpdtb=${file}`, '-m', '256', '-nographic'], { stdio: 'pipe' })
  const fdt = createFdt(parseFdt(readFileSync(file)))
  describeChosen(fdt.root, { rngSeed: randomBytes(64), ...chosen })
  return fdt.toBytes()
}

function started(plan: BootPlan): string[] {
  const [, dtb, info] = plan.entry.args
  const flash = join(folder, 'flash')
  writeFileSync(flash, powerOn(plan.entry.pc, Number(dtb), Number(info)))
  truncateSync(flash, FLASH_SIZE)
  const loaders = plan.segments.flatMap(({ address, bytes }, index) => {
    const file = join(folder, `segment${index}`)
    writeFileSync(file, bytes)
    return bytes.length === 0 ? [] : ['-device', `loader,file=${file},addr=0x${address.toString(16)},force-raw=on`]
  })
  return ['-bios', 'none', '-drive', `if=pflash,unit=0,format=raw,file=${flash}`, ...loaders]
}

const memory = { base: 0x8000_0000, size: 256 << 20 }

describe('the cache', () => {
  it('has all modules of the kernel: what is asked for later is not fetched', async () => {
    const told: string[] = []
    const progress = (step: string): void => { told.push(step) }
    const other = await prepareGuest({ modules: ['virtio-gpu', 'virtio_balloon', 'virtio_ring'], progress })
    expect(other.kernel).toBe(guest.kernel)
    expect(dirname(other.initrd)).toBe(dirname(guest.initrd))
    const has = (initrd: string): string[] => readCpio(readFileSync(initrd)).map(({ path }) => /[^/]+(?=\.ko$)/.exec(path)?.[0] ?? '')
    expect(has(other.initrd)).toEqual(expect.arrayContaining(['virtio-gpu', 'virtio_balloon', 'virtio_blk']))
    expect(has(guest.initrd)).not.toContain('virtio-gpu')
    expect(told).toEqual([])
  })
  it('knows names that are of no module', async () => {
    await expect(prepareGuest({ modules: ['nosuch'] })).rejects.toMatchObject({ code: 'guest-module', value: 'nosuch' })
    await expect(prepareGuest({ modules: ['virtio_baloon'] })).rejects.toThrow('Did you mean virtio_balloon')
  })
  const small = join(tmpdir(), `machinist-small-${process.pid}`)
  const mounted = ((): boolean => {
    mkdirSync(small)
    const done = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', small]).status === 0
    if (!done) rmSync(small, { recursive: true })
    return done
  })()
  afterAll(() => { if (mounted) { spawnSync('umount', [small]); rmSync(small, { recursive: true }) } })
  it.skipIf(!mounted)('says when its disk is full, and leaves nothing there', async () => {
    await expect(prepareGuest({ cache: small })).rejects.toMatchObject({ code: 'guest-cache', remedy: expect.stringContaining('Make room') as string })
    expect(readdirSync(small)).toEqual([])
  })
})

describe.each(FIRMWARE.filter((file) => existsSync(file)))('planRiscvBoot with %s', (firmware) => {
  it('starts Linux', async () => {
    const request = execRequest('cat /proc/cmdline')
    const plan = planRiscvBoot({
      memory,
      kernel: readFileSync(guest.kernel),
      initrd: concatInitrds([readFileSync(guest.initrd), request.initrd]),
      firmware: readFileSync(firmware),
      dtb: ({ initrd }) => described({ bootargs: 'console=ttyS0 planned', initrd }),
    })
    expect(plan.mode).toBe('machine')
    const all = await qemu(started(plan))
    const out: Uint8Array[] = []
    const output = request.output({ stdout: (bytes) => out.push(bytes), stderr: () => undefined, exit: () => undefined })
    output.push(all)
    expect(Buffer.concat(out).toString()).toContain('console=ttyS0 planned')
    expect(output.status).toBe(0)
  })

  const uBoot = '/usr/lib/u-boot/qemu-riscv64_smode/uboot.elf'
  it.skipIf(!existsSync(uBoot))('starts U-Boot, which leaves the initrd where it is', async () => {
    const initrd = Buffer.from('an initrd that U-Boot finds')
    const plan = planRiscvBoot({ memory, kernel: readFileSync(uBoot), initrd, firmware: readFileSync(firmware), dtb: (placed) => described({ initrd: placed.initrd }) })
    const at = plan.segments.find(({ part }) => part === 'initrd')?.address ?? 0
    const all = (await qemu(started(plan), [`md.b ${at.toString(16)} 10`, 'poweroff'], '=> ')).toString()
    expect(all).toMatch(/U-Boot 20\d\d/)
    expect(all).toContain('an initrd that U')
  })
})
