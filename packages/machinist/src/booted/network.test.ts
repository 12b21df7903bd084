import { expect, it } from 'vitest'
import { networkCommand, stationOf } from './network.ts'
import { virtualSwitch } from '@machinist/network'

it('gives copies of every guest addresses of their own', () => {
  const numbers = [[0, 1], [0, 2], [1, 1], [1, 2], [4095, 1], [4095, 2 ** 20 - 1]] as const
  const network = virtualSwitch()
  const addresses = numbers.map(([booted, copy]) => /address (\S+)/.exec(networkCommand(stationOf(booted, copy), { network }, undefined) ?? '')?.[1])
  expect(addresses).toEqual(['02:4d:00:00:00:01', '02:4d:00:00:00:02', '02:4d:00:10:00:01', '02:4d:00:10:00:02', '02:4d:ff:f0:00:01', '02:4d:ff:ff:ff:ff'])
})
