import { spawn, spawnSync } from 'node:child_process'
import { closeSync, existsSync, ftruncateSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { RAM_BASE, RAM_SIZE, RECORD_SIZE, SAVE_AREA, inSave, SCRATCH, SCRATCH_PAGES } from './memory-map.ts'
import { IMAGE_SIZE, RECORDS_AT, type Image } from './image.ts'

const PROGRAM = 'qemu-system-riscv64'

/** What the core has and QEMU 7.2 knows; everything else off. */
const CPU =
  'rv64,zba=on,zbb=on,zbs=on,zbc=off,sstc=on,svinval=on,svnapot=off,svpbmt=off,h=off,v=off,Zfh=off,Zfhmin=off,sscofpmf=off,pmu-num=0'

/** The version of the QEMU on this machine, or null without one. */
export function qemuVersion(): string | null {
  const { stdout, status } = spawnSync(PROGRAM, ['--version'], { encoding: 'utf8' })
  return status === 0 ? (/version (\S+)/.exec(stdout)?.[1] ?? 'unknown') : null
}

/** What a side has to show for a run. */
export interface Outcome {
  /** Records of the cases, one after another. */
  readonly records: Uint8Array
  /** The scratch pages after the last case. */
  readonly scratch: Uint8Array
  /** Cases that it completed; fewer than asked when one did not end. */
  readonly completed: number
}

/** Runs images on QEMU. Guest RAM is a file, so that nothing has to go through a device. */
export class Qemu {
  readonly #folder: string
  readonly #file: number

  constructor() {
    this.#folder = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'machinist-'))
    this.#file = openSync(this.#path, 'w+')
    ftruncateSync(this.#file, RAM_SIZE)
  }

  get #path(): string {
    return join(this.#folder, 'ram')
  }

  /** @param patience - milliseconds without a case completed, after which QEMU is taken to hang */
  async run(image: Image, count: number, patience: number): Promise<Outcome> {
    if (image.used > IMAGE_SIZE) throw new RangeError('the image is too large')
    writeAll(this.#file, image.bytes.subarray(0, image.used))
    await this.#launch(patience)
    return {
      records: this.#read(RECORDS_AT, count * RECORD_SIZE),
      scratch: this.#read(SCRATCH - RAM_BASE, SCRATCH_PAGES * 4096),
      completed: this.#completed(),
    }
  }

  #completed(): number {
    return new DataView(this.#read(SAVE_AREA + inSave.index - RAM_BASE, 8).buffer).getUint32(0, true)
  }

  #launch(patience: number): Promise<void> {
    const child = spawn(
      PROGRAM,
      ['-nodefaults', '-display', 'none', '-machine', 'virt,memory-backend=ram', '-object', `memory-backend-file,id=ram,size=${RAM_SIZE},mem-path=${this.#path},share=on`,
        // With one hart, QEMU's atomics are a load and then a store, and fault as such. The second hart sleeps.
        '-m', `${RAM_SIZE / 2 ** 20}M`, '-cpu', CPU, '-smp', '2', '-bios', 'none', '-accel', 'tcg,thread=multi'],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    )
    let complaint = ''
    child.stderr.on('data', (chunk: Buffer) => (complaint += chunk.toString()))
    return new Promise((resolve, reject) => {
      let late = false
      let seen = 0
      let since = performance.now()
      const timer = setInterval(() => {
        const completed = this.#completed()
        if (completed !== seen) {
          seen = completed
          since = performance.now()
        } else if (performance.now() - since > patience) {
          late = true
          child.kill('SIGKILL')
        }
      }, 200)
      child.on('error', reject)
      child.on('close', (status) => {
        clearInterval(timer)
        if (status === 0 || late) resolve()
        else reject(new Error(`QEMU ended with status ${String(status)}: ${complaint.trim()}`))
      })
    })
  }

  #read(offset: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length)
    for (let done = 0; done < length; ) {
      const count = readSync(this.#file, bytes, done, length - done, offset + done)
      if (count === 0) throw new Error('the RAM file has become shorter')
      done += count
    }
    return bytes
  }

  dispose(): void {
    closeSync(this.#file)
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

function writeAll(file: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length; ) done += writeSync(file, bytes, done, bytes.length - done, done)
}
