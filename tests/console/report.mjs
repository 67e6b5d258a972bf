// Counts checks and prints one line for each.

/** Runs checks one after the other and remembers how they ended. */
export class Report {
  passed = 0;
  failed = 0;

  /** @param {string} name @param {() => Promise<any> | any} action */
  async check(name, action) {
    const began = performance.now();
    try {
      await action();
      this.passed += 1;
      console.log(`ok    ${name} (${Math.round(performance.now() - began)} ms)`);
    } catch (thrown) {
      this.failed += 1;
      const text = thrown instanceof Error ? thrown.message : String(thrown);
      console.log(`FAIL  ${name}\n${text.replace(/^/gm, '      ')}`);
    }
  }

  /** Prints the closing line; the exit code of the run. */
  close() {
    console.log(`${this.passed} passed, ${this.failed} failed`);
    return this.failed === 0 && this.passed > 0 ? 0 : 1;
  }
}
