"""The command line, as a user calls it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
import soundfile
import yaml

from timeside.cli.__main__ import app, main
from timeside.work import INDEX
from timeside_core.formats import read
from timeside_core.testing import signal as tone

SAMPLERATE = 22_050


def timeside(*words, code=0):
    """Run a command in this process; its exit code must be `code`."""
    sys.argv = ["timeside", *map(str, words)]
    with pytest.raises(SystemExit) as exited:
        main()
    assert (exited.value.code or 0) == code


@pytest.fixture(autouse=True)
def _argv(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["timeside"])


@pytest.fixture
def tapes(tmp_path):
    """A folder with two recordings, one in a folder below, and something that is not audio."""
    folder = tmp_path / "tapes"
    (folder / "side b").mkdir(parents=True)
    soundfile.write(folder / "sine.wav", tone("sine", samplerate=SAMPLERATE, duration_s=1), SAMPLERATE)
    soundfile.write(folder / "side b" / "noise.flac", tone("noise", samplerate=SAMPLERATE), SAMPLERATE)
    (folder / "notes.txt").write_text("not audio")
    (folder / ".hidden.wav").write_text("not audio")
    return folder


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def test_analyze_writes_results_and_a_table(tapes, out, capsys):
    timeside("analyze", tapes, "-a", "level", "-a", "mean_dc_shift", "-o", out, "--table", out / "table.csv", "-j", 1)
    results = read(out / "sine.wav.json")
    assert results["level.max"].values == pytest.approx(-6.02, abs=0.01)
    assert (out / "side b" / "noise.flac.json").exists()
    header, *rows = (out / "table.csv").read_text().splitlines()
    assert header.startswith("uri,sha256,duration_s,error,level.max,level.rms,mean_dc_shift")
    assert len(rows) == 2
    assert "done" in capsys.readouterr().out


def test_what_is_done_already_with_the_same_key_is_skipped(tapes, out, capsys):
    command = ("analyze", tapes, "-a", "level", "-o", out, "-j", 1)
    timeside(*command)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.json")}
    capsys.readouterr()
    timeside(*command, "--table", out / "table.parquet")
    assert capsys.readouterr().out.count("as before") == 2
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.json")} == before
    assert (out / "table.parquet").exists()


@pytest.mark.parametrize("change", ["parameters", "media", "segment", "file gone", "overwrite", "index cut short"])
def test_what_has_another_key_is_done_again(tapes, out, capsys, change):
    command = ["analyze", str(tapes / "sine.wav"), "-a", "rms", "-o", str(out)]
    timeside(*command)
    if change == "parameters":
        command[3] = "rms:hop_length=256"
    elif change == "media":
        soundfile.write(tapes / "sine.wav", tone("noise", samplerate=SAMPLERATE), SAMPLERATE)
    elif change == "segment":
        command += ["--start", "0.1"]
    elif change == "file gone":
        (out / "sine.wav.json").unlink()
    elif change == "overwrite":
        command += ["--overwrite"]
    else:
        (out / INDEX).write_text((out / INDEX).read_text()[:-20])
    capsys.readouterr()
    timeside(*command)
    assert "done" in capsys.readouterr().out


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_bad_file_is_reported_and_the_rest_goes_on(tapes, out, capsys, jobs):
    (tapes / "bad.wav").write_bytes(b"RIFF nothing")
    timeside("analyze", tapes, "-a", "level", "-o", out, "-j", jobs, "--table", out / "t.csv", code=1)
    said = capsys.readouterr()
    assert "bad.wav" in said.err
    assert "1 of 3 files failed" in said.err
    assert "Traceback" not in said.err
    assert (out / "sine.wav.json").exists()
    assert (out / "side b" / "noise.flac.json").exists()
    assert not (out / "bad.wav.json").exists()
    assert "bad.wav" in next(row for row in (out / "t.csv").read_text().splitlines() if "bad" in row)


def test_several_processes_give_the_same_results(tapes, tmp_path):
    for jobs in (1, 2):
        timeside("analyze", tapes, "-a", "mfcc", "-o", tmp_path / str(jobs), "-j", jobs, "-f", "npz")
    one, two = (read(tmp_path / jobs / "sine.wav.npz")[0] for jobs in ("1", "2"))
    assert np.array_equal(one.values, two.values)


def test_presets_from_a_yaml_file(tapes, out, tmp_path):
    presets = tmp_path / "presets.yaml"
    presets.write_text(yaml.safe_dump(["level", {"processor": "mfcc", "parameters": {"n_mfcc": 5}}]))
    timeside("analyze", tapes / "sine.wav", "-p", presets, "-o", out)
    assert read(out / "sine.wav.json")["mfcc"].values.shape[1] == 5


def test_a_segment_and_a_gain(tapes, out):
    timeside("analyze", tapes / "sine.wav", "-a", "level", "-o", out, "--start", 0.25, "--duration", 0.5, "--gain", 2)
    result = read(out / "sine.wav.json")["level.max"]
    assert result.values == pytest.approx(0, abs=0.01)
    assert result.duration_s == 0.5


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["analyze", "{tapes}", "-a", "levle"], "processor 'levle' is unknown; did you mean level"),
        (["analyze", "{tapes}", "-a", "mfcc:n_mfcc=0"], "mfcc: n_mfcc=0"),
        (["analyze", "{tapes}", "-a", "mfcc:n_mfcc"], "'n_mfcc' is not name=value"),
        (["analyze", "{tapes}", "-a", "flac_encoder"], "'flac_encoder' is no analyzer"),
        (["analyze", "{tapes}", "-f", "doc"], "format 'doc' is unknown"),
        (["analyze", "{tapes}", "--duration", "0"], "file_decoder: duration=0.0"),
        (["analyze", "{tapes}", "--gain", "inf"], "fx_gain: gain=inf"),
        (["analyze", "{tapes}", "-o", "{tapes}/notes.txt"], "notes.txt: File exists"),
        (["analyze", "long" * 100], "cannot be looked into: File name too long"),
        (["analyze", "{tapes}", "--table", "t.xls"], "t.xls"),
        (["analyze", "nowhere"], "'nowhere' names no file or folder"),
        (["analyze", "http://localhost/a.wav"], "is a URL: only local files"),
        (["analyze", "{tapes}", "-p", "{tapes}/notes.txt"], "must be a list of entries"),
        (["analyze", "{tapes}", "-p", "{tapes}/sine.wav"], "sine.wav' are not YAML"),
        (["analyze", "{tapes}", "-p", "{tapes}"], "cannot be read: Is a directory"),
        (["draw", "{tapes}", "-g", "level"], "'level' is no grapher"),
        (["draw", "{tapes}", "--width", "0"], "width=0 must be"),
        (["draw", "{tapes}", "-f", "bmp"], "format='bmp' must be png or svg"),
        (["transcode", "{tapes}", "--to", "mp4"], "'mp4_encoder' is unknown"),
        (["transcode", "{tapes}", "--to", "flac:output=a.flac"], "'output' is no parameter here"),
        (["processors", "nothing"], "'nothing' is unknown"),
        (["new-plugin", "Bad-Id"], "id 'Bad-Id' must be"),
        (["new-plugin", "level"], "id 'level' is a processor's already"),
        (["new-plugin", "core"], "a package 'timeside_core', which is there already"),
        (["new-plugin", "none"], "a class 'None'"),
    ],
)
def test_wrong_usage_is_one_line_before_anything_is_opened(tapes, out, capsys, words, message, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    timeside(*(word.replace("{tapes}", str(tapes)) for word in words), code=2)
    said = capsys.readouterr()
    assert message in said.err
    assert said.err.count("\n") == 1
    assert "done" not in said.out


def test_an_impossible_segment_fails_each_file_with_its_reason(tapes, out, capsys):
    timeside("analyze", tapes / "sine.wav", "-a", "level", "-o", out, "--start", 99, code=1)
    assert "99" in capsys.readouterr().err


def test_names_of_any_bytes_are_one_line_each_and_go_into_the_table(tapes, out, capsys):
    sine = (tapes / "sine.wav").read_bytes()
    for name in (b"new\nline.wav", b"latin-1 \xe9.wav", b"\x1b[31mred.wav", 'é "日本" [/].wav'.encode()):
        (tapes / os.fsdecode(name.replace(b"/", b":"))).write_bytes(sine)
    for table in ("t.csv", "t.parquet"):
        timeside("analyze", tapes, "-a", "level", "-o", out, "-j", 1, "--table", out / table)
        said = capsys.readouterr().out
        assert len(said.splitlines()) == 6
        assert "new\\nline.wav" in said
        assert "\x1b" not in said
    assert "latin-1 \\udce9.wav" in (out / "t.csv").read_text("utf-8")


def test_files_that_would_be_written_to_one_place_are_refused_but_the_first(tapes, out, capsys):
    (tapes / "sine.flac").write_bytes((tapes / "side b" / "noise.flac").read_bytes())
    timeside("transcode", tapes, "--to", "mp3", "-o", out, "--overwrite", code=1)
    assert "sine.wav: would be written where" in capsys.readouterr().err
    (tapes / "side b" / "sine.wav").write_bytes((tapes / "sine.wav").read_bytes())
    timeside("analyze", tapes / "sine.wav", tapes / "side b" / "sine.wav", "-a", "level", "-o", out, code=1)
    assert "1 of 2 files failed" in capsys.readouterr().err


def test_a_source_is_not_replaced_by_what_is_made_of_it(tapes, capsys):
    before = (tapes / "sine.wav").read_bytes()
    timeside("transcode", tapes / "sine.wav", "--to", "wav", "-o", tapes, "--overwrite", code=1)
    assert "is the source itself" in capsys.readouterr().err
    assert (tapes / "sine.wav").read_bytes() == before


def test_a_folder_that_cannot_be_looked_into_is_reported(tapes, out, capsys, monkeypatch):
    monkeypatch.chdir(tapes / "side b")
    for _ in range(20):  # deeper than a path can say
        os.mkdir("deep" * 60)
        os.chdir("deep" * 60)
    monkeypatch.undo()
    timeside("analyze", tapes, "-a", "level", "-o", out, "-q", "-j", 1, code=1)
    assert "1 of 3 files failed" in capsys.readouterr().err


@pytest.mark.filterwarnings("default")
def test_damage_is_told_in_one_line(tapes, out, capsys):
    flac = bytearray((tapes / "side b" / "noise.flac").read_bytes())
    (tapes / "cut.flac").write_bytes(flac[: len(flac) * 2 // 3])
    timeside("analyze", tapes / "cut.flac", "-a", "level", "-o", out)
    assert capsys.readouterr().err.startswith(f"{tapes / 'cut.flac'}: ")


def test_a_broken_index_costs_only_work_that_is_done_again(tapes, out, capsys):
    command = ("analyze", tapes / "sine.wav", "-a", "level", "-o", out)
    timeside(*command)
    (out / INDEX).write_bytes(b'\xff\n{"file": "sine.wav.json"}\n[]\n')
    timeside(*command)
    assert "done" in capsys.readouterr().out


def test_an_index_that_cannot_be_written_fails_the_file(tapes, out, capsys):
    out.mkdir()
    (out / INDEX).symlink_to(out / "nowhere" / "index")
    timeside("analyze", tapes / "sine.wav", "-a", "level", "-o", out, code=1)
    assert f"{out / INDEX} cannot be written: No such file or directory" in capsys.readouterr().err


def test_two_presets_of_one_grapher_make_two_pictures(tapes, out):
    graphers = ("-g", "spectrogram_log", "-g", "spectrogram_log:n_fft=512", "-g", "spectrogram_log")
    timeside("draw", tapes / "sine.wav", *graphers, "-o", out)
    assert sorted(path.name for path in out.iterdir()) == [
        "sine.wav.spectrogram_log-2.png",
        "sine.wav.spectrogram_log.png",
    ]


def test_draw(tapes, out):
    timeside("draw", tapes, "-g", "waveform_simple", "-g", "spectrogram_log", "-o", out, "--width", 300, "-j", 1)
    png = (out / "sine.wav.waveform_simple.png").read_bytes()
    assert png.startswith(b"\x89PNG")
    assert int.from_bytes(png[16:20]) == 300
    timeside("draw", tapes / "sine.wav", "-g", "waveform_simple", "-o", out, code=1)
    timeside("draw", tapes / "sine.wav", "-g", "waveform_simple", "-o", out, "-f", "svg")
    assert (out / "sine.wav.waveform_simple.svg").read_text().startswith("<")


def test_transcode_keeps_samples_and_tags_and_refuses_to_overwrite(tapes, out, capsys):
    timeside("transcode", tapes / "sine.wav", "--to", "flac:bit_depth=16", "-o", out)
    audio, samplerate = soundfile.read(out / "sine.flac", dtype="int16")
    assert samplerate == SAMPLERATE
    assert np.array_equal(audio, soundfile.read(tapes / "sine.wav", dtype="int16")[0])
    before = (out / "sine.flac").read_bytes()
    timeside("transcode", tapes / "sine.wav", "--to", "flac", "-o", out, code=1)
    assert "exists" in capsys.readouterr().err
    assert (out / "sine.flac").read_bytes() == before


def test_info(tapes, capsys):
    timeside("info", tapes, "--json")
    facts = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [each["samples"] for each in facts] == [round(0.4 * SAMPLERATE), SAMPLERATE]
    timeside("info", tapes / "sine.wav")
    assert "duration_s  1.0" in capsys.readouterr().out
    timeside("info", tapes / "notes.txt", code=1)


def test_processors_lists_and_describes(capsys):
    timeside("processors")
    listed = capsys.readouterr().out
    assert "  mean_dc_shift " in listed
    assert "  waveform_simple " in listed
    timeside("processors", "mfcc")
    page = capsys.readouterr().out
    assert "n_mfcc = 20" in page
    assert "mfcc: framewise value" in page
    timeside("processors", "level", "--json")
    outputs = json.loads(capsys.readouterr().out)["outputs"]
    assert [each["result_id"] for each in outputs] == ["level.max", "level.rms"]


def test_a_new_plugin_passes_the_contract_suite(tmp_path, capsys):
    timeside("new-plugin", "peak_of_signal", "-o", tmp_path)
    package = tmp_path / "timeside-peak-of-signal"
    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"],
        cwd=package,
        env=os.environ | {"PYTHONPATH": str(package)},
        capture_output=True,
        text=True,
    )
    assert tested.returncode == 0, tested.stdout
    assert "passed" in tested.stdout
    timeside("new-plugin", "peak_of_signal", "-o", tmp_path, code=2)


def test_only_what_is_asked_for_is_imported(tapes, out):
    code = f"""
import sys
from timeside.cli.__main__ import app
sys.argv = ["timeside", "analyze", {str(tapes / "sine.wav")!r}, "-a", "level", "-a", "mfcc", "-o", {str(out)!r}]
try:
    app()
except SystemExit as exited:
    assert not exited.code
heavy = {{"librosa", "numba", "scipy.signal", "av", "matplotlib", "PIL", "h5py", "pyarrow", "aubio", "zarr"}}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_file_that_kills_its_process_is_named_and_the_rest_goes_on(tapes, out, tmp_path):
    (tapes / "killer.wav").write_bytes((tapes / "sine.wav").read_bytes())
    code = """
import os, signal, sys
from functools import partial
from timeside.batch import find, run
from tests_killer import work
if __name__ == "__main__":
    outcomes = list(run(find([sys.argv[1]]), work, processes=2, tell=lambda *_: None))
    for each in outcomes:
        print(each.file.path.name, "|", each.answer, "|", each.error)
"""
    (tmp_path / "tests_killer.py").write_text(
        "import os, signal\n"
        "def work(file, tell):\n"
        "    if file.path.name == 'killer.wav':\n"
        f"        os.kill(os.getpid(), {int(signal.SIGKILL)})\n"
        "    return file.path.name\n"
    )
    (tmp_path / "run.py").write_text(code)
    done = subprocess.run([sys.executable, "run.py", str(tapes)], cwd=tmp_path, capture_output=True, text=True)
    lines = dict(line.split(" | ", 1) for line in done.stdout.splitlines())
    assert lines["killer.wav"] == "None | the process that worked on it died"
    assert lines["sine.wav"] == "sine.wav | "
    assert lines["noise.flac"] == "noise.flac | "


@pytest.fixture
def at_work(tapes, out):
    """A command that works on many files in two processes, its first file done, in a group of its own."""
    noise = np.random.default_rng(440).standard_normal((60 * SAMPLERATE, 2)) / 10
    soundfile.write(tapes / "long.wav", noise, SAMPLERATE)
    for index in range(200):
        os.link(tapes / "long.wav", tapes / f"long {index}.wav")
    command = [sys.executable, "-c", "from timeside.cli import main; main()", "transcode", "--to", "vorbis", "-j", "2"]
    process = subprocess.Popen(
        [*command, "-o", out, tapes], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    yield process
    process.kill()
    process.communicate()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_ends_all_processes_and_leaves_nothing_half_written(at_work, out, number, code):
    children = psutil.Process(at_work.pid).children(recursive=True)
    assert len(children) >= 2
    os.killpg(at_work.pid, number) if number == signal.SIGINT else at_work.send_signal(number)
    _, said = at_work.communicate(timeout=60)
    assert at_work.returncode == code
    assert "Traceback" not in said
    assert psutil.wait_procs(children, timeout=10)[1] == []
    assert [path.name for path in Path(out).rglob(".*")] == []


def test_processes_end_where_their_parent_is_killed(at_work):
    children = psutil.Process(at_work.pid).children(recursive=True)
    at_work.kill()
    assert psutil.wait_procs(children, timeout=30)[1] == []


def test_help_names_every_command(capsys):
    with pytest.raises(SystemExit):
        app(["--help"])
    told = capsys.readouterr().out
    assert all(name in told for name in ("analyze", "draw", "transcode", "info", "processors", "new-plugin"))
