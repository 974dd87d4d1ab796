// A test that is skipped tests nothing: it counts as a failure.
import type { FullResult, Reporter, TestCase, TestResult } from "@playwright/test/reporter";

export default class NoSkips implements Reporter {
  readonly #skipped: string[] = [];

  onTestEnd(test: TestCase, { status }: TestResult): void {
    if (status === "skipped") this.#skipped.push(test.titlePath().join(" › "));
  }

  async onEnd({ status }: FullResult): Promise<{ status: FullResult["status"] }> {
    if (this.#skipped.length === 0) return { status };
    console.error(`Skipped tests are not allowed:\n- ${this.#skipped.join("\n- ")}`);
    return { status: "failed" };
  }

  printsToStdio(): boolean {
    return false;
  }
}
