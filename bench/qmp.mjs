import { spawn } from 'node:child_process'
import { connect } from 'node:net'
import { setTimeout as after } from 'node:timers/promises'
import { cpuSeconds } from './cpu-time.mjs'

/** A guest on QEMU, with its console and its monitor. */
export class QemuGuest {
  /** @param {readonly string[]} args @param {string} socket of the monitor */
  constructor(args, socket) {
    this.began = performance.now()
    this.socket = socket
    this.console = ''
    this.listening = () => {}
    this.process = spawn('qemu-system-riscv64', [...args, '-qmp', `unix:${socket},server=on,wait=off`], { stdio: ['pipe', 'pipe', 'inherit'] })
    this.process.stdout.setEncoding('latin1').on('data', (text) => {
      this.console += text
      this.listening()
    })
    /** @type {((answer: { return?: any, error?: { desc: string } }) => void)[]} */
    this.asked = []
    /** @type {import('node:net').Socket | null} */
    this.monitor = null
  }

  /** CPU seconds so far, of its children too. */
  get cpu() {
    return cpuSeconds(this.process.pid ?? 0)
  }

  /** Waits until the console has said something. @param {string} text */
  async said(text) {
    while (!this.console.includes(text)) await new Promise((resolve) => { this.listening = () => { resolve(undefined) } })
  }

  /** @param {string} text */
  type(text) {
    this.console = ''
    this.process.stdin.write(text)
  }

  /** Has the monitor do something (QEMU's QMP). @param {string} execute @param {unknown} [args] @returns {Promise<any>} what it answers */
  async ask(execute, args) {
    if (this.monitor === null) {
      this.monitor = await this.#connect()
      await this.ask('qmp_capabilities')
    }
    const { monitor } = this
    const answer = await new Promise((/** @type {(answer: { return?: any, error?: { desc: string } }) => void} */ resolve) => {
      this.asked.push(resolve)
      monitor.write(`${JSON.stringify({ execute, arguments: args })}\n`)
    })
    if (answer.error !== undefined) throw new Error(`${execute}: ${answer.error.desc}`)
    return answer.return
  }

  /** A command of the human monitor. @param {string} line */
  async command(line) {
    const answer = await this.ask('human-monitor-command', { 'command-line': line })
    if (answer !== '') throw new Error(`${line}: ${answer}`)
  }

  /** @returns {Promise<import('node:net').Socket>} */
  async #connect() {
    for (;;) {
      const socket = await new Promise((/** @type {(socket: import('node:net').Socket | null) => void} */ resolve) => {
        const made = connect(this.socket, () => { resolve(made) })
        made.on('error', () => { resolve(null) })
      })
      if (socket === null) {
        await after(2)
        continue
      }
      let line = ''
      socket.setEncoding('utf8').on('data', (text) => {
        const lines = (line + text).split('\n')
        line = lines.pop() ?? ''
        for (const each of lines) {
          const answer = JSON.parse(each)
          // The rest are a greeting and events.
          if ('return' in answer || 'error' in answer) this.asked.shift()?.(answer)
        }
      })
      return socket
    }
  }

  async end() {
    this.monitor?.destroy()
    const closed = new Promise((resolve) => { this.process.on('close', resolve) })
    this.process.kill('SIGKILL')
    await closed
  }
}
