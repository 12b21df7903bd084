import type { DmaSpace, IrqLine, Width } from '@machinist/api'
import { BusMaster } from './bus-master.ts'
import type { CdRom } from './cd-rom.ts'
import type { Disk } from './disk.ts'
import type { Channel as Cable, Drive } from './drive.ts'
import type { Position } from './identify.ts'
import { Ata, Bm, Select } from './registers.ts'

/** EXECUTE DEVICE DIAGNOSTIC. */
const DIAGNOSTIC = 0x90

/** A cable with two drives, its ports, and its bus master. */
export class IdeChannel implements Cable {
  readonly master: BusMaster
  readonly #irq: IrqLine
  #drives: readonly (Disk | CdRom | null)[] = [null, null]
  /** The device register, which says who is meant also where nobody is. */
  #second = false
  #level = false
  /** The bus master is at work, and whether it is wanted meanwhile: by a disk that ends at once what it is asked for. */
  #moving = false
  #wanted = false

  constructor(dma: DmaSpace, irq: IrqLine) {
    this.master = new BusMaster(dma)
    this.#irq = irq
  }

  plug(drives: readonly (Disk | CdRom | null)[]): void {
    this.#drives = drives
  }

  get second(): boolean {
    return this.#second
  }

  powerOn(): void {
    this.#second = false
    for (const drive of this.#drives) drive?.powerOn()
    this.master.reset()
    this.changed()
  }

  readBlock(offset: number, width: Width): number {
    if (offset === Ata.data) return this.#readData(width)
    let value = 0
    for (let at = 0; at < width; at++) value |= this.#read(offset + at) << (8 * at)
    return value >>> 0
  }

  writeBlock(offset: number, width: Width, value: number): void {
    if (offset === Ata.data) {
      const drive = this.#selected
      drive?.writeData(value & 0xffff)
      if (width === 4) drive?.writeData(value >>> 16)
      return
    }
    for (let at = 0; at < width; at++) this.#write(offset + at, value >>> (8 * at) & 0xff)
  }

  /** The alternate status (ATA/ATAPI-6, 7.3): as the status, which goes on asking for its interrupt. */
  get alternate(): number {
    return this.#selected?.status ?? 0
  }

  writeControl(value: number): void {
    for (const drive of this.#drives) drive?.writeControl(value)
    // After a reset it is the first that is meant (9.2).
    if ((value & 4) !== 0) this.#second = false
    this.changed()
  }

  /** BMICOM (82371SB, 2.7.1). */
  command(value: number): void {
    const was = this.master.command
    this.master.command = value & (Bm.start | Bm.read)
    if ((value & Bm.start) === 0) {
      this.master.stop()
      if ((was & Bm.start) !== 0) for (const drive of this.#drives) drive?.stopDma()
    } else if ((was & Bm.start) === 0) {
      this.master.start()
      this.wantsDma()
    }
  }

  changed(): void {
    const level = this.#selected?.interruptsHost ?? false
    if (level && !this.#level) this.master.status |= Bm.interrupt
    this.#level = level
    this.#irq.set(level)
  }

  wantsDma(): void {
    this.#wanted = true
    if (this.#moving) return
    this.#moving = true
    while (this.#wanted) {
      this.#wanted = false
      this.#moveDma()
    }
    this.#moving = false
  }

  endedDma(): void {
    this.master.finish()
  }

  position(drive: Drive): Position {
    const [, second] = this.#drives
    return second === null || second === undefined ? 'alone' : drive === second ? 'second' : 'first'
  }

  /** What disks were asked for is asked for again. */
  again(): void {
    for (const drive of this.#drives) drive?.again()
  }

  get asks(): boolean {
    return this.#drives.some((drive) => drive?.asks === true)
  }

  /** After the states of drives were taken back. */
  restored(second: boolean): void {
    this.#second = second
    this.#level = this.#selected?.interruptsHost ?? false
    this.#irq.set(this.#level)
  }

  get #selected(): Disk | CdRom | null {
    return this.#drives[this.#second ? 1 : 0] ?? null
  }

  /** One buffer: of the drive that is meant, or of the other, whose request goes on while another is meant. */
  #moveDma(): void {
    const drive = [this.#selected, ...this.#drives].find((each) => each?.waitsForDma === true)
    if (drive === null || drive === undefined || !this.master.running) return
    const { bytes, toHost } = drive.dmaBuffer
    const moved = this.master.move(bytes, toHost)
    if (moved === 'all') drive.dmaMoved()
    else if (moved === 'error') drive.dmaFailed(true)
  }

  #readData(width: Width): number {
    const drive = this.#selected
    if (drive === null) return 2 ** (8 * width) - 1
    const low = drive.readData()
    return width === 4 ? (low | drive.readData() << 16) >>> 0 : width === 1 ? low & 0xff : low
  }

  #read(offset: number): number {
    const drive = this.#selected
    // The lines of a cable without drives are pulled down where it matters: nobody is busy.
    if (drive === null || offset > Ata.status) return 0
    const value = drive.readRegister(offset)
    if (offset === Ata.status && drive.interrupt) {
      drive.interrupt = false
      this.changed()
    }
    return value
  }

  #write(offset: number, value: number): void {
    if (offset > Ata.command) return
    if (offset !== Ata.command) {
      // Both listen (7.2).
      for (const drive of this.#drives) drive?.writeRegister(offset, value)
      if (offset === Ata.device) {
        this.#second = (value & Select.second) !== 0
        this.changed()
      }
      return
    }
    // EXECUTE DEVICE DIAGNOSTIC is for both (8.11), and then the first is meant: unless the one that is meant takes no command now.
    if (value === DIAGNOSTIC) {
      if (this.#selected?.takesCommands === false) return
      this.#second = false
      for (const drive of this.#drives) drive?.diagnose()
      // It is the first that tells the host.
      const [, second] = this.#drives
      if (second !== null && second !== undefined) second.interrupt = false
    } else this.#selected?.begin(value)
    this.changed()
  }
}
