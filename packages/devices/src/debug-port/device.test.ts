import { fakeChar, testDevice } from '@machinist/registers/testing'
import { expect, test } from 'vitest'
import { debugPort } from '../index.ts'

test('takes text, and says that it is there', () => {
  const console = fakeChar()
  const dut = testDevice(debugPort, {}, { backends: { console } })
  for (const character of 'BIOS\n') dut.device.write(0, 0, 1, character.charCodeAt(0))
  expect([console.text(), dut.device.read(0, 0, 1)]).toEqual(['BIOS\n', 0xe9])
  dut.device.restore(dut.device.save())
  expect(() => { dut.device.restore({ a: 1 }) }).toThrow(expect.objectContaining({ code: 'state' }))
})
