"""Interfaces and components: what a class body declares, and what is inherited of it."""

import pytest

from timeside.core.component import Component, Interface, abstract, implementations, implements, interfacedoc
from timeside.core.exceptions import ComponentError


class IMusic(Interface):
    @staticmethod
    def name():
        """What it is called."""

    def play(self):
        """Sound."""


class IJazz(IMusic):
    def swing(self):
        """Swing."""


class Song(Component):
    implements(IMusic)

    @staticmethod
    @interfacedoc
    def name():
        return "song"

    @interfacedoc
    def play(self):
        """Its own."""


class Standard(Component):
    implements(IJazz)


class Cover(Song):
    pass


class Genre(Component):
    implements(IMusic)
    abstract()


def test_implementations_of_an_interface_and_of_those_derived_from_it():
    assert implementations(IMusic) == [Song, Standard]
    assert implementations(IMusic, recurse=False) == [Song]
    assert implementations(IMusic, abstract=True) == [Song, Genre, Standard]


def test_a_subclass_does_not_inherit_what_is_implemented():
    assert Cover not in implementations(IMusic)


def test_documentation_is_taken_from_the_interface_where_there_is_none():
    assert Song.name.__doc__ == "What it is called."
    assert Song.play.__doc__ == "Its own."


def test_interfacedoc_names_the_member_that_no_interface_has():
    with pytest.raises(ComponentError, match=r"Wrong\.rest is in none of its interfaces \(IMusic\)"):

        class Wrong(Component):
            implements(IMusic)

            @interfacedoc
            def rest(self):
                pass


def test_interfacedoc_goes_below_staticmethod():
    with pytest.raises(ComponentError, match="write @staticmethod above"):
        interfacedoc(staticmethod(len))


def test_implements_belongs_in_a_class_body():
    with pytest.raises(ComponentError, match="class body"):
        implements(IMusic)
