// Debian's part of the image, where no earlier build has left it: a program of its own, so that it can run beside other builds.
import { debianBase } from '../../firmware-scripts/image/base.ts'

debianBase(new Date().toISOString().slice(0, 7), (line) => void process.stderr.write(`${line}\n`))
