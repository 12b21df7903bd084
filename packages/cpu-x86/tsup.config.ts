import { type Build, library } from '../../tsup.base.ts'

const build: Build = library({ 'index': 'src/index.ts', 'isa/index': 'src/isa/index.ts' })
export default build
