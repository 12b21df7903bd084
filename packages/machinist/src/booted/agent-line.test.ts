import { spawnSync } from 'node:child_process'
import type { CharPort } from '@machinist/api'
import { expect, it } from 'vitest'
import { oneWord } from './agent.ts'
import { AgentLine } from './agent-line.ts'

/** A line and what a guest at its other end does. */
function line() {
  let idle = 0
  const agent = new AgentLine(() => idle++)
  const port: CharPort = agent.backend.connect((callback) => { callback() })
  const say = (...pieces: (string | Uint8Array)[]): void => {
    for (const piece of pieces) {
      port.write(typeof piece === 'string' ? Buffer.from(piece, 'latin1') : piece)
      agent.backend.flush()
    }
  }
  const heard = (): Buffer => {
    const bytes = new Uint8Array(1 << 17)
    return Buffer.from(bytes.subarray(0, port.read(bytes)))
  }
  return { agent, say, heard, idle: () => idle }
}

it('runs commands one after the other, whatever they write and however it comes', async () => {
  const { agent, say, heard, idle } = line()
  expect(agent.idle).toBe(false)
  say('\x1erea', 'dy\n')
  expect([agent.idle, idle()]).toEqual([true, 1])
  const stdin = Uint8Array.from({ length: 300 }, (_, index) => index)
  for (const size of [1, 2, 7, 64, 1000]) {
    expect([agent.claim(), agent.claim()]).toEqual([true, false])
    const running = agent.run("echo 'x'\n", stdin)
    const asked = heard()
    const [, token = ''] = /^([0-9a-f]{32}) 300 \$'echo \\'x\\'\\n'\n/.exec(asked.toString('latin1')) ?? []
    expect(asked.subarray(-300)).toEqual(Buffer.from(stdin))
    // Marks of another command, and this one's in part, are what a command may write.
    const out = Buffer.concat([stdin, Buffer.from(`\x1e${'0'.repeat(32)} x 0\n\x1e${token.slice(0, 8)}\n`, 'latin1'), stdin])
    const err = Buffer.from('\x1eready\n')
    const answer = Buffer.concat([Buffer.from(`\x1e${token} p 77\n`), out, Buffer.from(`\x1e${token} e\n`), err, Buffer.from(`\x1e${token} x 3\n`)])
    for (let at = 0; at < answer.length; at += size) say(answer.subarray(at, at + size))
    const { stdout, stderr, status } = await running
    expect([Buffer.from(stdout), Buffer.from(stderr), status]).toEqual([out, err, 3])
    expect(agent.idle).toBe(true)
  }
})

it('takes nothing from a guest that was not asked, and ends with it', async () => {
  const { agent, say, heard } = line()
  say('\x1eready\n', 'noise\n\x1eready\n')
  agent.claim()
  const running = agent.run('true', new Uint8Array())
  const token = heard().toString('latin1').slice(0, 32)
  for (const nonsense of ['\x1eready\n', `\x1e${token} x 0\n`, `\x1e${token} x 1000\n`, '\n']) say(nonsense)
  expect([agent.idle, agent.process]).toEqual([false, null])
  const refused = expect(running).rejects.toThrow('gone')
  agent.abandon(new Error('gone'))
  await refused
  say(`\x1e${token} p 1\n\x1e${token} e\n\x1e${token} x 0\n`)
  expect([agent.idle, agent.lost]).toEqual([false, true])
})

it('quotes any text as one word on one line', () => {
  for (const text of ["it's", 'a\nb\n', '\\n \\\\ $HOME `x` "y"', '\t\r\x01é€', '']) {
    expect(oneWord(text)).not.toContain('\n')
    expect(spawnSync('bash', ['-c', `printf %s ${oneWord(text)}`]).stdout.toString()).toBe(text)
  }
})
