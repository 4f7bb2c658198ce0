"""The two listings of the paper of 2018, and those of our page about its interface, run as scripts."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

PLUGIN = '''
from timeside.core import implements, interfacedoc
from timeside.core.analyzer import Analyzer
from timeside.core.api import IValueAnalyzer
import numpy


class MeanDCShift(Analyzer):

    """Mean DC shift analyzer"""
    implements(IValueAnalyzer)

    @interfacedoc
    def setup(self, channels=None,
              samplerate=None,
              blocksize=None,
              totalframes=None):
        super(MeanDCShift, self).setup(
            channels, samplerate, blocksize, totalframes)
        self.values = numpy.array([0])

    @staticmethod
    @interfacedoc
    def id():
        return "mean_dc_shift"

    @staticmethod
    @interfacedoc
    def name():
        return "Mean DC shift"

    @staticmethod
    @interfacedoc
    def unit():
        return "%"

    def process(self, frames, eod=False):
        if frames.size:
            self.values = numpy.append(self.values, numpy.mean(frames))
        return frames, eod

    def post_process(self):
        dc_result = self.new_result(data_mode='value', time_mode='global')
        dc_result.data_object.value = numpy.round(
            numpy.mean(100 * self.values), 3)
        self.add_result(dc_result)
'''
RUN_PLUGIN = """
from timeside.core import get_processor
import timeside_core
assert get_processor('mean_dc_shift') is MeanDCShift
analyzer = MeanDCShift()
(get_processor('file_decoder')('sweep.wav') | analyzer).run()
print(analyzer.results['mean_dc_shift'].data[0], analyzer.results['mean_dc_shift'].unit)
decoder = timeside_core.get_processor('file_decoder')('sweep.wav')
print((decoder | timeside_core.get_processor('mean_dc_shift')()).run()['mean_dc_shift'].values)
"""
PIPE = """
import timeside.core
from timeside.core import get_processor
decoder = get_processor('file_decoder')('sweep.wav')
grapher = get_processor('waveform_simple')()
analyzer = get_processor('level')()
encoder = get_processor('vorbis_encoder')('sweep.ogg')
(decoder | grapher | analyzer | encoder).run()
grapher.render(output='waveform.png')
print('Level: ', analyzer.results)
"""


@pytest.fixture
def folder(tmp_path):
    """A folder with `sweep.wav`: 8 s from 20 Hz to 22.05 kHz in equal ratios, with an offset."""
    soundfile.write(tmp_path / "sweep.wav", sweep(), 44_100, subtype="FLOAT")
    return tmp_path


def sweep():
    rate = np.log(22_050 / 20) / 8
    phase = 2 * np.pi * 20 * np.expm1(rate * np.arange(8 * 44_100) / 44_100) / rate
    return (np.stack([np.sin(phase), np.sin(phase) / 2], axis=1) / 2 + 0.1).astype(np.float32)


def run(script, folder):
    (folder / "script.py").write_text(script)
    done = subprocess.run([sys.executable, "script.py"], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_the_plug_in_class(folder):
    in_pipe, natively = run(PLUGIN + RUN_PLUGIN, folder).splitlines()
    audio = sweep()
    means = [0, *(audio[start : start + 8192].mean() for start in range(0, len(audio), 8192))]
    assert float(natively) == pytest.approx(np.mean(100 * np.array(means)), abs=6e-4)
    assert in_pipe == f"{natively} %"


def test_the_pipe(folder):
    printed = run(PIPE, folder)
    assert printed.startswith("Level:  {'level.max': ")
    assert soundfile.info(folder / "sweep.ogg").duration == 8
    assert (folder / "waveform.png").read_bytes().startswith(b"\x89PNG")


def test_the_listings_of_the_page(folder):
    page = Path(__file__).parents[3] / "docs" / "timeside-1.md"
    pipe, plugin = re.findall("```python\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    script = f"{pipe}{plugin}\nanalyzer = MeanBlock(factor=2)\n(decoder | analyzer).run()\nprint(analyzer.results)"
    level, mean = run(script, folder).splitlines()
    assert level.startswith("Level:  {'level.max'")
    assert "value=array([0.2" in mean


def test_elsewhere_the_id_is_taken(folder):
    (folder / "my_plugin.py").write_text(PLUGIN)
    script = """
from timeside.core import ApiError
try:
    import my_plugin
except ApiError as error:
    print(error)
"""
    assert run(script, folder) == (
        "processor id 'mean_dc_shift' of my_plugin.MeanDCShift is taken by timeside_analyzer.dc:MeanDCShift: "
        "ids are unique\n"
    )
