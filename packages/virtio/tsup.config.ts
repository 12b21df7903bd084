import { type Build, library } from '../../tsup.base.ts'

const build: Build = library({
  'index': 'src/index.ts',
  'p9': 'src/p9/p9.ts',
  'balloon': 'src/balloon/balloon.ts',
  'block': 'src/block/block.ts',
  'console': 'src/console/console.ts',
  'entropy': 'src/entropy/entropy.ts',
  'gpu': 'src/gpu/gpu.ts',
  'input': 'src/input/input.ts',
  'mem': 'src/mem/mem.ts',
  'mmio': 'src/transport/mmio.ts',
  'net': 'src/net/net.ts',
  'pci': 'src/transport/pci.ts',
  'pmem': 'src/pmem/pmem.ts',
  'queue': 'src/queue/queue.ts',
  'sound': 'src/sound/sound.ts',
  'testing': 'src/testing.ts',
  'vsock': 'src/vsock/vsock.ts',
})
export default build
